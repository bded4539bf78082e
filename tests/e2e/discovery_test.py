"""How models are found and shown in a whole installation: search, collections, official models,
examples that outlive their prediction, deleted versions, and limits of calls."""

import base64
import os
import pathlib
import sys
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from mimeo_testing import Api, InstallationTest, eventually, striped_png  # noqa: E402


class Discovery(InstallationTest):
    def mimeo(self, *arguments):
        return self.stack.layout.cli(*arguments)

    def found(self, query):
        status, body = self.api.call("GET", f"/v1/search?query={query}")
        self.assertEqual(status, 200, body)
        return [hit["model"]["name"] for hit in body["models"]]

    def test_a_model_is_found_by_words_and_typos(self):
        name = f"watercolour-{os.getpid()}"
        status, body = self.api.call("POST", "/v1/models", {
            "owner": self.owner, "name": name, "visibility": "public", "hardware": "cpu",
            "description": "Paints landscapes"})
        self.assertEqual(status, 201, body)
        self.api.call("PATCH", f"/v1/models/{self.owner}/{name}", {"readme": "Trained on zeppelins"})
        for query in (name, "landscape%20painting", "zeppelin", "watercolor", f"{self.owner}/{name}"):
            self.assertIn(name, self.found(query), query)
        self.assertNotIn(name, self.found("submarine"))
        status, body = self.api.call("GET", f"/v1/models?query={name}")
        self.assertEqual((status, [m["name"] for m in body["results"]][:1]), (200, [name]))

        self.mimeo("collection", "create", name, "--name", "Water", "--description", "Wet")
        self.addCleanup(self.mimeo, "collection", "delete", name)
        self.mimeo("collection", "add", name, f"{self.owner}/{name}")
        status, body = self.api.call("GET", f"/v1/collections/{name}")
        self.assertEqual((status, [m["name"] for m in body["models"]]), (200, [name]))
        status, body = self.api.call("GET", f"/v1/search?query={name}")
        self.assertEqual(body["models"][0]["metadata"]["tags"], [name])
        self.assertEqual(body["collections"][0]["models"], [f"{self.owner}/{name}"])

    def test_an_example_keeps_its_files_and_is_the_cover(self):
        uri = "data:image/png;base64," + base64.b64encode(striped_png()).decode()
        run = self.create(f"/v1/models/{self.owner}/edges/predictions", {"image": uri}, {"Prefer": "wait"})
        self.assertEqual(run["status"], "succeeded", run)
        path = f"/v1/models/{self.owner}/edges/examples"
        kept = "SELECT count(*) FROM kept_predictions"
        before = int(self.sql(kept))
        status, example = self.api.call("POST", path, {"prediction": run["id"]})
        self.assertEqual(status, 201, example)
        self.assertEqual(example["output"], run["output"])
        with urllib.request.urlopen(example["output"]) as file:
            self.assertTrue(file.read().startswith(b"\x89PNG"))
        self.assertEqual(int(self.sql(kept)), before + 1)
        status, model = self.api.call("GET", f"/v1/models/{self.owner}/edges")
        self.assertEqual(model["default_example"]["id"], run["id"])
        self.assertEqual(model["cover_image_url"], example["output"])
        self.assertEqual(self.api.call("DELETE", f"{path}/{run['id']}")[0], 204)
        self.assertEqual(int(self.sql(kept)), before, "it goes with the prediction's other data now")

    def test_an_official_model_hides_its_version(self):
        model = f"{self.owner}/hello"
        self.mimeo("model", "set-official", model)
        self.addCleanup(self.mimeo, "model", "set-official", model, "--off")
        eventually(lambda: self.create(f"/v1/models/{model}/predictions", {"text": "x"})["version"] == "hidden",
                   10, "a hidden version", every=0.5)
        self.assertEqual(self.api.call("GET", f"/v1/models/{model}/versions")[1]["results"], [])

    def test_a_deleted_version_takes_its_predictions_with_it(self):
        name = f"brief-{os.getpid()}"
        model = f"{self.owner}/{name}"
        status, body = self.api.call("POST", "/v1/models", {
            "owner": self.owner, "name": name, "visibility": "private", "hardware": "cpu"})
        self.assertEqual(status, 201, body)
        # A version of its own without a push: the row of another, under another id.
        version = "".join("%02x" % b for b in os.urandom(32))
        self.sql("INSERT INTO versions SELECT decode('" + version + "', 'hex'), m.id, state, refusal, "
                 "repository, image_digest, image_bytes, cog_version, openapi_schema, config, needs_gpu, "
                 "concurrency, pushed_by, now() FROM versions v, models m WHERE m.name = '" + name + "' AND "
                 "v.id = decode('" + self.latest("hello") + "', 'hex')")
        status, run = self.api.call("POST", "/v1/predictions", {"version": version, "input": {"text": "x"}},
                                    {"Prefer": "wait"})
        self.assertEqual((status, run["status"]), (201, "succeeded"), run)
        self.assertEqual(self.api.call("DELETE", f"/v1/models/{model}/versions/{version}")[0], 202)
        self.assertEqual(self.api.call("GET", f"/v1/models/{model}/versions/{version}")[0], 404)
        eventually(lambda: self.sql(f"SELECT count(*) FROM predictions p WHERE p.version_id = "
                                    f"decode('{version}', 'hex')").strip() == "0", 30, "removal of its predictions")
        self.assertEqual(self.api.call("DELETE", f"/v1/models/{model}")[0], 204)

    def test_an_account_has_limits_of_its_own(self):
        name = f"limited-{os.getpid()}"
        self.mimeo("account", "create", name)
        api = Api(self.stack.api.url.geturl(), self.mimeo("token", "create", name))
        self.mimeo("account", "limits", name, "--other", "6")

        def refusal():
            status, body = api.call("GET", "/v1/account")
            return body if status == 429 else None
        refused = eventually(refusal, 20, "a refusal", every=0.1)
        self.assertEqual(refused["status"], 429)
        self.assertLessEqual(refused["retry_after"], 10)


if __name__ == "__main__":
    unittest.main()
