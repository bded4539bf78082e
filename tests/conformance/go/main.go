// The official Go client, unmodified, against a running installation (see `. .mimeo/env`).
// Prints one line a check and exits 1 if any failed.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	replicate "github.com/replicate/replicate-go"
)

var failed int

func check(name string, err error) {
	if err != nil {
		failed++
		fmt.Printf("FAIL %s: %v\n", name, err)
		return
	}
	fmt.Printf("ok   %s\n", name)
}

func expect(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, args...)
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	client, err := replicate.NewClient(
		replicate.WithToken(os.Getenv("REPLICATE_API_TOKEN")),
		replicate.WithBaseURL(os.Getenv("REPLICATE_BASE_URL")+"/v1"))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	owner := os.Getenv("MIMEO_OWNER")
	version := func(name string) string {
		model, err := client.GetModel(ctx, owner, name)
		if err != nil {
			fmt.Printf("FAIL get model %s: %v\n", name, err)
			os.Exit(1)
		}
		return model.LatestVersion.ID
	}
	hello, stream := version("hello"), version("stream-text")

	check("run by version", run(ctx, client, owner+"/hello:"+hello))
	check("run, blocking until done", runBlocking(ctx, client, owner+"/hello:"+hello))
	check("create, get, list", createGetList(ctx, client, hello))
	check("cancel", cancelRunning(ctx, client, stream))
	check("stream", streamText(ctx, client, owner+"/stream-text:"+stream))
	check("deployment", deployment(ctx, client, owner, hello))
	if failed > 0 {
		os.Exit(1)
	}
}

func run(ctx context.Context, client *replicate.Client, model string) error {
	out, err := client.Run(ctx, model, replicate.PredictionInput{"text": "Go"}, nil)
	if err != nil {
		return err
	}
	return expect(out == "Hello Go!", "got %v", out)
}

func runBlocking(ctx context.Context, client *replicate.Client, model string) error {
	out, err := client.RunWithOptions(ctx, model, replicate.PredictionInput{"text": "block"}, nil,
		replicate.WithBlockUntilDone())
	if err != nil {
		return err
	}
	return expect(out == "Hello block!", "got %v", out)
}

func createGetList(ctx context.Context, client *replicate.Client, version string) error {
	made, err := client.CreatePrediction(ctx, version, replicate.PredictionInput{"text": "a"}, nil, false)
	if err != nil {
		return err
	}
	if err := client.Wait(ctx, made, replicate.WithPollingInterval(50*time.Millisecond)); err != nil {
		return err
	}
	got, err := client.GetPrediction(ctx, made.ID)
	if err != nil {
		return err
	}
	if err := expect(got.Status == replicate.Succeeded && got.Output == "Hello a!", "got %v %v", got.Status, got.Output); err != nil {
		return err
	}
	page, err := client.ListPredictions(ctx)
	if err != nil {
		return err
	}
	for _, p := range page.Results {
		if p.ID == made.ID {
			return nil
		}
	}
	return fmt.Errorf("%s is not in the list", made.ID)
}

func cancelRunning(ctx context.Context, client *replicate.Client, version string) error {
	input := replicate.PredictionInput{"text": strings.Repeat("x ", 1000), "delay_ms": 100}
	made, err := client.CreatePrediction(ctx, version, input, nil, false)
	if err != nil {
		return err
	}
	for made.Status == replicate.Starting {
		if made, err = client.GetPrediction(ctx, made.ID); err != nil {
			return err
		}
	}
	canceled, err := client.CancelPrediction(ctx, made.ID)
	if err != nil {
		return err
	}
	return expect(canceled.Status == replicate.Canceled, "got %v", canceled.Status)
}

func streamText(ctx context.Context, client *replicate.Client, model string) error {
	events, errs := client.Stream(ctx, model, replicate.PredictionInput{"text": "a stream of words", "delay_ms": 5}, nil)
	text := ""
	for {
		select {
		case event, open := <-events:
			if !open {
				return fmt.Errorf("the stream ended without done, after %q", text)
			}
			if event.Type == "done" {
				return expect(text == "a stream of words", "got %q", text)
			}
			if event.Type != "output" {
				return fmt.Errorf("event %s: %s", event.Type, event.Data)
			}
			text += event.Data
		case err := <-errs:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func deployment(ctx context.Context, client *replicate.Client, owner, version string) error {
	name := fmt.Sprintf("go-%d", os.Getpid())
	made, err := client.CreateDeployment(ctx, replicate.CreateDeploymentOptions{
		Name: name, Model: owner + "/hello", Version: version, Hardware: "cpu", MinInstances: 0, MaxInstances: 1})
	if err != nil {
		return err
	}
	if err := expect(made.CurrentRelease.Number == 1, "release %d", made.CurrentRelease.Number); err != nil {
		return err
	}
	prediction, err := client.CreatePredictionWithDeployment(ctx, owner, name, replicate.PredictionInput{"text": "d"}, nil, false)
	if err != nil {
		return err
	}
	if err := client.Wait(ctx, prediction, replicate.WithPollingInterval(50*time.Millisecond)); err != nil {
		return err
	}
	return expect(prediction.Output == "Hello d!", "got %v", prediction.Output)
}
