//go:build !old_client

// What Go programs do with the client.
package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	replicate "github.com/replicate/replicate-go"
)

func checksOf(string) []check {
	return append([]check{
		{3, "bodies_that_are_empty", row003EmptyBodies},
		{21, "retry_after_is_obeyed", row021RetryAfter},
		{27, "error_is_null", row027Error},
		{33, "metrics_are_integers", row033Metrics},
		{35, "async_create_get_list", row035AsyncCreate},
		{37, "sync_wait_finished", row037SyncWait},
		{38, "wait_expired", row038WaitExpired},
		{45, "cancel_running", row045Cancel},
		{54, "file_inputs", row054FileInputs},
		{57, "versionless", row057Versionless},
		{63, "delete_models", row063DeleteModels},
		{64, "query", row064Query},
		{73, "training_with_extra_key", row073Training},
		{73, "page_of_trainings", row073Page},
		{74, "deployment", row074Deployment},
		{82, "upload", row082Upload},
	}, streamChecks...)
}

var fast = replicate.WithPollingInterval(50 * time.Millisecond)

func finish(ctx context.Context, client *replicate.Client, made *replicate.Prediction) *replicate.Prediction {
	must(client.Wait(ctx, made, fast))
	return made
}

func started(ctx context.Context, client *replicate.Client, made *replicate.Prediction) *replicate.Prediction {
	for made.Status == replicate.Starting {
		time.Sleep(50 * time.Millisecond)
		got, err := client.GetPrediction(ctx, made.ID)
		must(err)
		made = got
	}
	return made
}

func create(ctx context.Context, s *Site, name string, input replicate.PredictionInput) *replicate.Prediction {
	made, err := s.client().CreatePrediction(ctx, s.Versions[name], input, nil, false)
	must(err)
	return made
}

func row003EmptyBodies(ctx context.Context, s *Site) {
	client := s.client()
	account, err := client.GetCurrentAccount(ctx)
	must(err)
	equal(account.Username, s.Owner, "the account")
	canceled, err := client.CancelPrediction(ctx, create(ctx, s, "probe", replicate.PredictionInput{"delay_ms": 60000}).ID)
	must(err)
	equal(canceled.Status, replicate.Canceled, "the status after a cancel without a body")
}

// An account beyond its limit: the client waits as Retry-After says, and gets through. It sends a body once only,
// so a transport gives it back for the second try.
func row021RetryAfter(ctx context.Context, s *Site) {
	name := unique("go-limited")
	for _, arguments := range [][]string{{"account", "create", name}, {"token", "create", name}} {
		command := exec.CommandContext(ctx, s.Mimeo, arguments...)
		command.Env = append(os.Environ(), "MIMEO_DATABASE="+s.StrictDB)
		out, err := command.Output()
		must(err)
		name = strings.Fields(string(out))[0] // The account's name, then its token.
	}
	body := []byte(`{"version": "x", "input": {}}`)
	post := func() int {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.StrictBackend+"/v1/predictions", bytes.NewReader(body))
		must(err)
		request.Header.Set("Authorization", "Bearer "+name)
		answer, err := http.DefaultClient.Do(request)
		must(err)
		defer answer.Body.Close()
		_, _ = io.Copy(io.Discard, answer.Body)
		return answer.StatusCode
	}
	for begun := time.Now(); post() != http.StatusTooManyRequests; {
		expect(time.Since(begun) < time.Minute, "the limit was not reached in a minute")
	}
	var tries []time.Time
	var told string
	again := &http.Client{Transport: roundTrip(func(request *http.Request) (*http.Response, error) {
		if request.GetBody != nil {
			request.Body, _ = request.GetBody()
		}
		answer, err := http.DefaultTransport.RoundTrip(request)
		if err == nil && answer.StatusCode == http.StatusTooManyRequests {
			told = answer.Header.Get("Retry-After")
			tries = append(tries, time.Now())
		}
		return answer, err
	})}
	for post() != http.StatusTooManyRequests { // It fills again while we talk.
		expect(ctx.Err() == nil, "the limit was not reached again")
	}
	client := s.client(replicate.WithToken(name), replicate.WithBaseURL(s.StrictURL+"/v1"), replicate.WithHTTPClient(again))
	_, err := client.CreatePredictionWithModel(ctx, s.Owner, "probe", replicate.PredictionInput{}, nil, false)
	must(err)
	if len(tries) > 0 {
		expect(time.Since(tries[0]) >= 900*time.Millisecond && told == "1", "Retry-After was %q", told)
	}
}

func row027Error(ctx context.Context, s *Site) {
	client := s.client()
	done := finish(ctx, client, create(ctx, s, "probe", replicate.PredictionInput{"text": "fine"}))
	expect(done.Error == nil, "the error of one that succeeds is %v", done.Error)
	out, err := client.Run(ctx, s.ref("hello"), replicate.PredictionInput{"text": "Go"}, nil)
	must(err) // Whatever is not null would be taken for a failure.
	equal(out.(string), "Hello Go!", "the output")
	_, err = client.Run(ctx, s.ref("probe"), replicate.PredictionInput{"fail": "it broke"}, nil)
	expect(err != nil, "a failure was not reported")
	contains(err.Error(), "it broke", "the error")
}

func row033Metrics(ctx context.Context, s *Site) {
	done := finish(ctx, s.client(), create(ctx, s, "probe", replicate.PredictionInput{}))
	equal(*done.Metrics.InputTokenCount, 3, "input_token_count")
	equal(*done.Metrics.OutputTokenCount, 5, "output_token_count")
	expect(*done.Metrics.TotalTime >= *done.Metrics.PredictTime, "total_time is less than predict_time")
}

func row035AsyncCreate(ctx context.Context, s *Site) {
	client := s.client()
	made := create(ctx, s, "hello", replicate.PredictionInput{"text": "a"})
	equal(made.Status, replicate.Starting, "the status")
	finish(ctx, client, made)
	got, err := client.GetPrediction(ctx, made.ID)
	must(err)
	equal(got.Status, replicate.Succeeded, "the status at the end")
	equal(got.Output.(string), "Hello a!", "the output")
	page, err := client.ListPredictions(ctx)
	must(err)
	for _, one := range page.Results {
		if one.ID == made.ID {
			return
		}
	}
	fail("%s is not in the list", made.ID)
}

func row037SyncWait(ctx context.Context, s *Site) {
	out, err := s.client().RunWithOptions(ctx, s.ref("hello"), replicate.PredictionInput{"text": "block"}, nil,
		replicate.WithBlockUntilDone())
	must(err)
	equal(out.(string), "Hello block!", "the output")
}

// With any other status than `starting` the client would take a half of the output for all of it. It has
// no option for the seconds, so a transport sets them.
func row038WaitExpired(ctx context.Context, s *Site) {
	short := &http.Client{Transport: roundTrip(func(request *http.Request) (*http.Response, error) {
		if request.Header.Get("Prefer") != "" {
			request.Header.Set("Prefer", "wait=1")
		}
		return http.DefaultTransport.RoundTrip(request)
	})}
	chunks := make([]string, 20)
	for i := range chunks {
		chunks[i] = "x "
	}
	out, err := s.client(replicate.WithHTTPClient(short)).RunWithOptions(ctx, s.ref("probe-stream"),
		replicate.PredictionInput{"chunks": chunks, "delay_ms": 120}, nil, replicate.WithBlockUntilDone())
	must(err)
	equal(len(out.([]any)), 20, "the number of pieces")
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

func row045Cancel(ctx context.Context, s *Site) {
	made := started(ctx, s.client(), create(ctx, s, "probe", replicate.PredictionInput{"delay_ms": 120000}))
	canceled, err := s.client().CancelPrediction(ctx, made.ID)
	must(err)
	equal(canceled.Status, replicate.Canceled, "the status")
}

func row054FileInputs(ctx context.Context, s *Site) {
	client := s.client()
	file, err := client.CreateFileFromBytes(ctx, []byte("text of a file"),
		&replicate.CreateFileOptions{Filename: "note.txt", ContentType: "text/plain"})
	must(err)
	done := finish(ctx, client, create(ctx, s, "probe", replicate.PredictionInput{"document": file.URLs["get"]}))
	equal(done.Status, replicate.Succeeded, "the status")
	document := done.Output.(map[string]any)["document"].(map[string]any)
	equal(document["text"].(string), "text of a file", "what the model read")
	equal(done.Input["document"].(string), file.URLs["get"], "the input that is echoed")
}

func row057Versionless(ctx context.Context, s *Site) {
	client := s.client()
	made, err := client.CreatePredictionWithModel(ctx, s.Owner, "hello", replicate.PredictionInput{"text": "m"}, nil, false)
	must(err)
	done := finish(ctx, client, made)
	equal(done.Version, s.Versions["hello"], "the version")
	equal(done.Output.(string), "Hello m!", "the output")
	out, err := client.Run(ctx, s.model("hello"), replicate.PredictionInput{"text": "name"}, nil)
	must(err)
	equal(out.(string), "Hello name!", "run by name")
}

func row063DeleteModels(ctx context.Context, s *Site) {
	client := s.client()
	for _, visibility := range []string{"private", "public"} {
		name := unique("go-model")
		_, err := client.CreateModel(ctx, s.Owner, name, replicate.CreateModelOptions{Visibility: visibility, Hardware: "cpu"})
		must(err)
		err = client.DeleteModel(ctx, s.Owner, name)
		if visibility == "private" {
			must(err)
			_, err = client.GetModel(ctx, s.Owner, name)
			refused(err, http.StatusNotFound)
		} else {
			expect(err != nil, "a public model was deleted")
		}
	}
	expect(client.DeleteModel(ctx, s.Owner, "hello") != nil, "a model with versions was deleted")
}

func row064Query(ctx context.Context, s *Site) {
	page, err := s.client().SearchModels(ctx, "probe")
	must(err)
	for _, model := range page.Results {
		if model.Name == "probe" {
			return
		}
	}
	fail("the model is not found")
}

func train(ctx context.Context, s *Site, client *replicate.Client) *replicate.Training {
	made, err := client.CreateTraining(ctx, s.Owner, "probe-trainer", s.Versions["probe-trainer"], s.model("trained"),
		replicate.TrainingInput{"delay_ms": 60000}, nil) // Sends `version` in the body.
	must(err)
	return made
}

func row073Training(ctx context.Context, s *Site) {
	client := s.client()
	made := train(ctx, s, client)
	got, err := client.GetTraining(ctx, made.ID)
	must(err)
	equal(got.Model, s.model("probe-trainer"), "its model")
	canceled, err := client.CancelTraining(ctx, made.ID)
	must(err)
	equal(canceled.Status, replicate.Canceled, "the status after a cancel")
}

func row073Page(ctx context.Context, s *Site) {
	client := s.client()
	for i := 0; i < 101; i++ {
		_, err := client.CancelTraining(ctx, train(ctx, s, client).ID)
		must(err)
	}
	page, err := client.ListTrainings(ctx)
	must(err)
	equal(len(page.Results), 100, "the size of a page")
	expect(page.Next != nil, "there is no second page")
	for i := 1; i < len(page.Results); i++ {
		expect(page.Results[i-1].CreatedAt >= page.Results[i].CreatedAt, "the newest are not first")
	}
	pages, errs := replicate.Paginate(ctx, client, page) // It puts its base before the absolute URL of `next`.
	<-pages
	select {
	case second, open := <-pages:
		expect(open && len(second) > 0, "the second page is empty")
	case err := <-errs:
		must(err)
	}
}

func row074Deployment(ctx context.Context, s *Site) {
	client, name := s.client(), unique("go")
	made, err := client.CreateDeployment(ctx, replicate.CreateDeploymentOptions{Name: name, Model: s.model("hello"),
		Version: s.Versions["hello"], Hardware: "cpu", MinInstances: 0, MaxInstances: 1})
	must(err)
	equal(made.CurrentRelease.Number, 1, "the release")
	prediction, err := client.CreatePredictionWithDeployment(ctx, s.Owner, name, replicate.PredictionInput{"text": "d"}, nil, false)
	must(err)
	equal(finish(ctx, client, prediction).Output.(string), "Hello d!", "the output")
}

func row082Upload(ctx context.Context, s *Site) {
	client := s.client()
	file, err := client.CreateFileFromBytes(ctx, []byte("hey"), &replicate.CreateFileOptions{
		Filename: "hey.txt", ContentType: "text/plain", Metadata: map[string]string{"a": "1"}})
	must(err)
	equal(file.Name, "hey.txt", "name")
	equal(file.ContentType, "text/plain", "content_type")
	equal(file.Size, 3, "size")
	equal(file.Metadata["a"], "1", "metadata")
	unnamed, err := client.CreateFileFromBytes(ctx, []byte("hey"), &replicate.CreateFileOptions{})
	must(err)
	equal(unnamed.Size, 3, "the size of a file without a name")
	list, err := client.ListFiles(ctx)
	must(err)
	expect(len(list.Results) > 0, "the list of files is empty")
	must(client.DeleteFile(ctx, file.ID))
	_, err = client.GetFile(ctx, file.ID)
	refused(err, http.StatusNotFound)
}
