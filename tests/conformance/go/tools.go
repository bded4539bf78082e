//go:build old_client

// The requests of the command line tool and of the Terraform provider, sent with the very versions of the library that
// they are built with (0.21.0 and 0.23.0). The tools' own logic is not run here: see tools/.
package main

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	replicate "github.com/replicate/replicate-go"
)

func checksOf(client string) []check {
	if client == "go-0.23" {
		return []check{
			{74, "create_is_echoed", row074Create},
			{75, "bounds", row075Bounds},
			{76, "update", row076Update},
			{78, "delete", row078Delete},
			{86, "hardware", row086Hardware},
			{103, "life_of_a_resource", row103Life},
		}
	}
	return []check{
		{1, "every_form_of_the_base_url", row001BaseURL},
		{28, "logs_is_a_string", row028Logs},
		{35, "async_create", row035AsyncCreate},
		{54, "file_inputs", row054FileInputs},
		{57, "versionless", row057Versionless},
		{66, "versions", row066Versions},
		{67, "schemas", row067Schemas},
		{76, "update", row076Update},
		{86, "hardware", row086Hardware},
		{101, "streamed_text", row101Streamed},
		{102, "login_and_lists", row102Lists},
		{102, "run_with_a_file", row054FileInputs},
		{102, "stream", row101Streamed},
		{102, "train", row102Train},
		{102, "deployments", row076Update},
	}
}

func wait(ctx context.Context, s *Site, made *replicate.Prediction) *replicate.Prediction {
	for !made.Status.Terminated() {
		time.Sleep(50 * time.Millisecond)
		got, err := s.client().GetPrediction(ctx, made.ID)
		must(err)
		made = got
	}
	return made
}

func byModel(ctx context.Context, s *Site, name string, input replicate.PredictionInput) *replicate.Prediction {
	made, err := s.client().CreatePredictionWithModel(ctx, s.Owner, name, input, nil, false)
	must(err)
	return made
}

func row001BaseURL(ctx context.Context, s *Site) {
	for _, base := range []string{s.URL + "/v1", s.URL + "/v1/", s.URL, s.URL + "/"} {
		account, err := s.client(replicate.WithBaseURL(base)).GetCurrentAccount(ctx)
		must(err)
		equal(account.Username, s.Owner, "the account with "+base)
	}
}

// The tool reads through the pointer when a prediction failed.
func row028Logs(ctx context.Context, s *Site) {
	made := byModel(ctx, s, "probe", replicate.PredictionInput{"fail": "x"})
	expect(made.Logs != nil, "logs of a new prediction is null")
	expect(wait(ctx, s, made).Logs != nil, "logs of a failed prediction is null")
	queued := byModel(ctx, s, "asleep", replicate.PredictionInput{})
	canceled, err := s.client().CancelPrediction(ctx, queued.ID)
	must(err)
	expect(canceled.Logs != nil, "logs of a canceled prediction is null")
}

func row035AsyncCreate(ctx context.Context, s *Site) {
	made, err := s.client().CreatePrediction(ctx, s.Versions["hello"], replicate.PredictionInput{"text": "a"}, nil, false)
	must(err)
	equal(made.Status, replicate.Starting, "the status")
	equal(wait(ctx, s, made).Output.(string), "Hello a!", "the output")
}

func row054FileInputs(ctx context.Context, s *Site) {
	file, err := s.client().CreateFileFromBytes(ctx, []byte("text of a file"),
		&replicate.CreateFileOptions{Filename: "note.txt", ContentType: "text/plain"})
	must(err)
	done := wait(ctx, s, byModel(ctx, s, "probe", replicate.PredictionInput{"document": file.URLs["get"]}))
	document := done.Output.(map[string]any)["document"].(map[string]any)
	equal(document["text"].(string), "text of a file", "what the model read")
}

// The tool tries the model's route first and falls back to its latest version.
func row057Versionless(ctx context.Context, s *Site) {
	done := wait(ctx, s, byModel(ctx, s, "hello", replicate.PredictionInput{"text": "m"}))
	equal(done.Output.(string), "Hello m!", "the output")
	model, err := s.client().GetModel(ctx, s.Owner, "hello")
	must(err)
	equal(model.LatestVersion.ID, s.Versions["hello"], "the latest version")
}

func row066Versions(ctx context.Context, s *Site) {
	for name, version := range s.Versions {
		got, err := s.client().GetModelVersion(ctx, s.Owner, name, version)
		must(err)
		expect(got.CogVersion != "", "%s has no cog_version", name)
		schema, ok := got.OpenAPISchema.(map[string]any)
		expect(ok && schema["components"] != nil, "%s has no schema", name)
	}
	page, err := s.client().ListModelVersions(ctx, s.Owner, "hello")
	must(err)
	expect(len(page.Results) > 0, "no versions are listed")
}

// What the tool's loader of OpenAPI documents and its reading of inputs need.
func row067Schemas(ctx context.Context, s *Site) {
	for name := range s.Versions {
		model, err := s.client().GetModel(ctx, s.Owner, name)
		must(err)
		schema := model.LatestVersion.OpenAPISchema.(map[string]any)
		expect(strings.HasPrefix(schema["openapi"].(string), "3."), "openapi is %v", schema["openapi"])
		expect(schema["info"] != nil && schema["paths"] != nil, "%s: info or paths is missing", name)
		schemas := schema["components"].(map[string]any)["schemas"].(map[string]any)
		input, output := schemas["Input"].(map[string]any), schemas["Output"]
		expect(output != nil, "%s has no Output", name)
		for key, value := range input["properties"].(map[string]any) {
			property := value.(map[string]any)
			_, hasDefault := property["default"]
			expect(property["type"] != nil || hasDefault, "%s: the input %s has neither type nor default", name, key)
			expect(property["x-order"] != nil, "%s: the input %s has no x-order", name, key)
		}
		checkReferences(name, schema, schemas)
	}
}

func checkReferences(name string, value any, schemas map[string]any) {
	switch found := value.(type) {
	case map[string]any:
		if reference, ok := found["$ref"].(string); ok {
			target := strings.TrimPrefix(reference, "#/components/schemas/")
			expect(target != reference && schemas[target] != nil, "%s: the reference %s leads nowhere", name, reference)
		}
		for _, inner := range found {
			checkReferences(name, inner, schemas)
		}
	case []any:
		for _, inner := range found {
			checkReferences(name, inner, schemas)
		}
	}
}

func options(s *Site, name string) replicate.CreateDeploymentOptions {
	return replicate.CreateDeploymentOptions{Name: name, Model: s.model("hello"), Version: s.Versions["hello"],
		Hardware: "cpu", MinInstances: 0, MaxInstances: 1}
}

// Terraform compares each value with what it sent.
func same(s *Site, got *replicate.Deployment, sent replicate.CreateDeploymentOptions, number int) {
	release := got.CurrentRelease
	equal(got.Owner+"/"+got.Name, s.model(sent.Name), "owner and name")
	equal(release.Number, number, "the release")
	equal(release.Model, sent.Model, "model")
	equal(release.Version, sent.Version, "version")
	equal(release.Configuration.Hardware, sent.Hardware, "hardware")
	equal(release.Configuration.MinInstances, sent.MinInstances, "min_instances")
	equal(release.Configuration.MaxInstances, sent.MaxInstances, "max_instances")
}

func row074Create(ctx context.Context, s *Site) {
	for _, bounds := range [][2]int{{0, 0}, {0, 1}, {1, 1}, {5, 20}} {
		sent := options(s, unique("tf"))
		sent.MinInstances, sent.MaxInstances = bounds[0], bounds[1]
		made, err := s.client().CreateDeployment(ctx, sent)
		must(err)
		same(s, made, sent, 1)
		none := 0
		_, err = s.client().UpdateDeployment(ctx, s.Owner, sent.Name,
			replicate.UpdateDeploymentOptions{MinInstances: &none, MaxInstances: &none})
		must(err)
	}
}

func row075Bounds(ctx context.Context, s *Site) {
	for _, change := range []func(*replicate.CreateDeploymentOptions){
		func(o *replicate.CreateDeploymentOptions) { o.MinInstances = -1 },
		func(o *replicate.CreateDeploymentOptions) { o.MinInstances, o.MaxInstances = 6, 10 },
		func(o *replicate.CreateDeploymentOptions) { o.MaxInstances = 21 },
		func(o *replicate.CreateDeploymentOptions) { o.MinInstances, o.MaxInstances = 2, 1 },
		func(o *replicate.CreateDeploymentOptions) { o.Hardware = "gpu-none" },
		func(o *replicate.CreateDeploymentOptions) { o.Version = strings.Repeat("0", 64) },
	} {
		sent := options(s, unique("tf"))
		change(&sent)
		_, err := s.client().CreateDeployment(ctx, sent)
		refused(err, http.StatusBadRequest)
	}
}

func row076Update(ctx context.Context, s *Site) {
	sent := options(s, unique("tf"))
	_, err := s.client().CreateDeployment(ctx, sent)
	must(err)
	sent.MaxInstances = 3
	after, err := s.client().UpdateDeployment(ctx, s.Owner, sent.Name,
		replicate.UpdateDeploymentOptions{MaxInstances: &sent.MaxInstances})
	must(err)
	same(s, after, sent, 2)
	// The whole of it, the model included, as the provider may send it: nothing changes.
	after, err = s.client().UpdateDeployment(ctx, s.Owner, sent.Name, replicate.UpdateDeploymentOptions{Model: &sent.Model,
		Version: &sent.Version, Hardware: &sent.Hardware, MinInstances: &sent.MinInstances, MaxInstances: &sent.MaxInstances})
	must(err)
	same(s, after, sent, 2)
	got, err := s.client().GetDeployment(ctx, s.Owner, sent.Name)
	must(err)
	same(s, got, sent, 2)
}

func row078Delete(ctx context.Context, s *Site) {
	sent := options(s, unique("tf"))
	sent.MaxInstances = 0
	_, err := s.client().CreateDeployment(ctx, sent)
	must(err)
	must(s.client().DeleteDeployment(ctx, s.Owner, sent.Name))
	_, err = s.client().GetDeployment(ctx, s.Owner, sent.Name)
	refused(err, http.StatusNotFound)

	used := options(s, unique("tf"))
	_, err = s.client().CreateDeployment(ctx, used)
	must(err)
	made, err := s.client().CreatePredictionWithDeployment(ctx, s.Owner, used.Name, replicate.PredictionInput{"text": "x"}, nil, false)
	must(err)
	wait(ctx, s, made)
	err = s.client().DeleteDeployment(ctx, s.Owner, used.Name)
	expect(err != nil, "a deployment that was just used was deleted")
	contains(err.Error(), "15 minutes", "the refusal")
}

func row086Hardware(ctx context.Context, s *Site) {
	hardware, err := s.client().ListHardware(ctx)
	must(err)
	found := false
	for _, one := range *hardware {
		found = found || one.SKU == "cpu"
		expect(one.Name != "", "%s has no name", one.SKU)
	}
	expect(found, "there is no cpu")
	// This is how the tool tells a good token from a bad one.
	_, err = s.client(replicate.WithToken("r8_" + strings.Repeat("x", 37))).ListHardware(ctx)
	refused(err, http.StatusUnauthorized)
}

func row101Streamed(ctx context.Context, s *Site) {
	chunks := []string{"Once", " upon", "\n", " a\ntime\n\n", "", "  two blanks", "☃ and 🦙", "end "}
	made := byModel(ctx, s, "probe-stream", replicate.PredictionInput{"chunks": chunks, "delay_ms": 10})
	events, errs := s.client().StreamPrediction(ctx, made)
	streamed := ""
	for {
		select {
		case event := <-events:
			if event.Type == "output" {
				streamed += event.Data
			}
			if event.Type == "done" {
				final := ""
				for _, part := range wait(ctx, s, made).Output.([]any) {
					final += part.(string)
				}
				equal(streamed, final, "the streamed text")
				equal(final, strings.Join(chunks, ""), "the final output")
				return
			}
		case err := <-errs:
			must(err)
		case <-ctx.Done():
			must(ctx.Err())
		}
	}
}

func row102Lists(ctx context.Context, s *Site) {
	row086Hardware(ctx, s)
	models, err := s.client().ListModels(ctx)
	must(err)
	expect(len(models.Results) > 0, "no models are listed")
	predictions, err := s.client().ListPredictions(ctx)
	must(err)
	_, err = json.Marshal(predictions) // --json
	must(err)
	_, err = s.client().ListDeployments(ctx)
	must(err)
}

func row102Train(ctx context.Context, s *Site) {
	model, err := s.client().GetModel(ctx, s.Owner, "probe-trainer")
	must(err)
	made, err := s.client().CreateTraining(ctx, s.Owner, "probe-trainer", model.LatestVersion.ID, s.model("trained"),
		replicate.TrainingInput{"text": "words", "delay_ms": 60000}, nil)
	must(err)
	trainings, err := s.client().ListTrainings(ctx)
	must(err)
	expect(len(trainings.Results) > 0, "no trainings are listed")
	_, err = s.client().CancelTraining(ctx, made.ID)
	must(err)
}

func row103Life(ctx context.Context, s *Site) {
	client := s.client()
	row086Hardware(ctx, s) // Data sources.
	versions, err := client.ListModelVersions(ctx, s.Owner, "hello")
	must(err)
	expect(len(versions.Results) > 0, "no versions are listed")
	sent := options(s, unique("tf"))
	made, err := client.CreateDeployment(ctx, sent)
	must(err)
	same(s, made, sent, 1)
	read, err := client.GetDeployment(ctx, s.Owner, sent.Name) // Refresh, plan and import.
	must(err)
	same(s, read, sent, 1)
	sent.MaxInstances = 2
	changed, err := client.UpdateDeployment(ctx, s.Owner, sent.Name, replicate.UpdateDeploymentOptions{
		Version: &sent.Version, Hardware: &sent.Hardware, MinInstances: &sent.MinInstances, MaxInstances: &sent.MaxInstances})
	must(err)
	same(s, changed, sent, 2)
	must(client.DeleteDeployment(ctx, s.Owner, sent.Name))
	_, err = client.GetDeployment(ctx, s.Owner, sent.Name)
	refused(err, http.StatusNotFound)
}
