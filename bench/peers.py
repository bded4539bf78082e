"""The no-op model as people would serve it without Mimeo: a FastAPI route that runs it in place, and
one that hands it to a Celery worker through Redis and waits. Neither keeps a record of the prediction."""

import os

from celery import Celery
from fastapi import FastAPI
from pydantic import BaseModel

celery = Celery("peers", broker=os.environ["BENCH_REDIS"], backend=os.environ["BENCH_REDIS"])
app = FastAPI()


class Input(BaseModel):
    text: str


class Prediction(BaseModel):
    input: Input


@celery.task
def predict(text):
    return f"Hello {text}!"


@app.post("/fastapi")
async def in_place(prediction: Prediction):
    return {"status": "succeeded", "output": f"Hello {prediction.input.text}!"}


@app.post("/celery")
def by_celery(prediction: Prediction):  # Not async: Starlette gives it a thread, because get() blocks.
    return {"status": "succeeded", "output": predict.delay(prediction.input.text).get(timeout=30)}
