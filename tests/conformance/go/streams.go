//go:build !old_client

// Event streams and webhooks.
package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"time"

	replicate "github.com/replicate/replicate-go"
)

var streamChecks = []check{
	{89, "secret", row089Secret},
	{90, "signature", row090Signature},
	{95, "stream_url", row095StreamURL},
	{96, "events", row096Events},
	{96, "canceled", row096Canceled},
	{97, "chunks_survive", row097Chunks},
	{97, "text_streamer", row097TextStreamer},
	{98, "file_streamer", row098Files},
	{100, "late_connect_and_reconnect", row100Resume},
}

var chunks = []string{"Once", " upon", "\n", " a\ntime\n\n", "", "  two blanks", "☃ and 🦙", "end "}

func row089Secret(ctx context.Context, s *Site) {
	secret, err := s.client().GetDefaultWebhookSecret(ctx)
	must(err)
	expect(regexp.MustCompile(`^whsec_[A-Za-z0-9+/]{32}$`).MatchString(secret.Key), "the secret is %s", secret.Key)
}

func signed(id, timestamp, signature, body string) *http.Request {
	request := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	request.Header.Set("webhook-id", id)
	request.Header.Set("webhook-timestamp", timestamp)
	request.Header.Set("webhook-signature", signature)
	return request
}

func row090Signature(ctx context.Context, s *Site) {
	known := replicate.WebhookSigningSecret{Key: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
	valid, err := replicate.ValidateWebhookRequest(signed("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330",
		"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", `{"test": 2432232314}`), known)
	must(err)
	expect(valid, "the test vector is refused")

	secret, err := s.client().GetDefaultWebhookSecret(ctx)
	must(err)
	got := make(chan *http.Request, 1)
	// Not httptest.NewServer, whose Close cuts the idle connections of every client in this process.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		request.Body = io.NopCloser(bytes.NewReader(body))
		got <- request
	})}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	_, err = s.client().CreatePrediction(ctx, s.Versions["hello"], replicate.PredictionInput{"text": "später ☃"},
		&replicate.Webhook{URL: "http://" + listener.Addr().String(), Events: []replicate.WebhookEventType{replicate.WebhookEventCompleted}}, false)
	must(err)
	select {
	case request := <-got:
		valid, err = replicate.ValidateWebhookRequest(request, *secret)
		must(err)
		expect(valid, "the signature is refused")
		forged := signed(request.Header.Get("webhook-id"), request.Header.Get("webhook-timestamp"),
			request.Header.Get("webhook-signature"), "{}")
		valid, err = replicate.ValidateWebhookRequest(forged, *secret)
		must(err)
		expect(!valid, "another body is accepted")
	case <-time.After(30 * time.Second):
		fail("no webhook came")
	}
}

// The events of a stream; an error if the client reports one.
func collect(ctx context.Context, events <-chan replicate.SSEEvent, errs <-chan error, each func(int)) []replicate.SSEEvent {
	var all []replicate.SSEEvent
	for {
		select {
		case event, open := <-events:
			expect(open, "the stream ended without done, after %v", all)
			all = append(all, event)
			if each != nil {
				each(len(all))
			}
			if event.Type == "done" {
				return all
			}
		case err := <-errs:
			must(err)
		case <-ctx.Done():
			must(ctx.Err())
		}
	}
}

func text(events []replicate.SSEEvent) string {
	out := ""
	for _, event := range events {
		if event.Type == "output" {
			out += event.Data
		}
	}
	return out
}

func row095StreamURL(ctx context.Context, s *Site) {
	made := create(ctx, s, "probe-stream", replicate.PredictionInput{"chunks": []string{"x"}})
	contains(made.URLs["stream"], "/v1/streams/", "urls.stream")
	events, errs := s.client().StreamPrediction(ctx, made) // Without a token.
	equal(text(collect(ctx, events, errs, nil)), "x", "the text")
}

func row096Events(ctx context.Context, s *Site) {
	events, errs := s.client().Stream(ctx, s.model("probe-stream"), replicate.PredictionInput{"chunks": []string{"a", "b"}}, nil)
	all := collect(ctx, events, errs, nil)
	equal(len(all), 3, "the number of events")
	ids := map[string]bool{}
	for _, event := range all {
		expect(event.Type == "output" || event.Type == "done", "an event is %v", event)
		expect(regexp.MustCompile(`^\d+:\d+$`).MatchString(event.ID), "an id is %q", event.ID)
		ids[event.ID] = true
	}
	equal(len(ids), 3, "the number of different ids")
	equal(all[2].Data, "{}", "the data of done")

	failing, errs := s.client().Stream(ctx, s.model("probe-stream"),
		replicate.PredictionInput{"chunks": []string{"a"}, "fail": "it broke"}, nil)
	all = collect(ctx, failing, errs, nil)
	equal(all[1].Type, "error", "the event before the last")
	contains(all[1].Data, "it broke", "its data")
	equal(strings.ReplaceAll(all[2].Data, " ", ""), `{"reason":"error"}`, "the data of done")
}

func row096Canceled(ctx context.Context, s *Site) {
	many := make([]string, 500)
	for i := range many {
		many[i] = "x"
	}
	made := create(ctx, s, "probe-stream", replicate.PredictionInput{"chunks": many, "delay_ms": 50})
	events, errs := s.client().StreamPrediction(ctx, made)
	all := collect(ctx, events, errs, func(count int) {
		if count == 1 {
			_, err := s.client().CancelPrediction(ctx, made.ID)
			must(err)
		}
	})
	equal(strings.ReplaceAll(all[len(all)-1].Data, " ", ""), `{"reason":"canceled"}`, "the data of done")
}

func row097Chunks(ctx context.Context, s *Site) {
	events, errs := s.client().Stream(ctx, s.model("probe-stream"),
		replicate.PredictionInput{"chunks": chunks, "delay_ms": 5}, nil)
	equal(text(collect(ctx, events, errs, nil)), strings.Join(chunks, ""), "the text")
}

// Another reader of the same client: it puts a newline after each data line and cuts the last one off.
func row097TextStreamer(ctx context.Context, s *Site) {
	made := create(ctx, s, "probe-stream", replicate.PredictionInput{"chunks": chunks, "delay_ms": 5})
	reader, err := s.client().StreamPredictionText(ctx, made)
	must(err)
	defer reader.Close()
	all, err := io.ReadAll(reader)
	must(err)
	equal(string(all), strings.Join(chunks, ""), "the text")
}

func row098Files(ctx context.Context, s *Site) {
	made := create(ctx, s, "probe-files", replicate.PredictionInput{"count": 2, "text": "of a file"})
	files, err := s.client().StreamPredictionFiles(made)
	must(err)
	defer files.Close()
	for i := 0; i < 2; i++ {
		file, err := files.NextFile(ctx)
		must(err)
		body, err := file.Body(ctx)
		must(err)
		content, err := io.ReadAll(body)
		must(err)
		equal(string(content), "of a file", "the content")
	}
}

// The reader of the client resumes with Last-Event-ID when its connection breaks, which a transport does here.
func row100Resume(ctx context.Context, s *Site) {
	many := make([]string, 30)
	for i := range many {
		many[i] = string(rune('a'+i%26)) + "\n"
	}
	made := create(ctx, s, "probe-stream", replicate.PredictionInput{"chunks": many, "delay_ms": 20})
	var lock sync.Mutex
	var resumed []string
	breaking := &http.Client{Transport: roundTrip(func(request *http.Request) (*http.Response, error) {
		answer, err := http.DefaultTransport.RoundTrip(request)
		lock.Lock()
		defer lock.Unlock()
		if err == nil && request.Header.Get("Accept") == "text/event-stream" {
			resumed = append(resumed, request.Header.Get("Last-Event-ID"))
			if len(resumed) < 3 {
				answer.Body = &cut{answer.Body, 400}
			}
		}
		return answer, err
	})}
	client := s.client(replicate.WithHTTPClient(breaking))
	reader, err := client.StreamPredictionText(ctx, made)
	must(err)
	defer reader.Close()
	all, err := io.ReadAll(reader)
	must(err)
	equal(string(all), strings.Join(many, ""), "the text over several connections")
	expect(len(resumed) >= 3 && resumed[1] != "", "the ids to resume after were %q", resumed)

	late, err := s.client().StreamPredictionText(ctx, made)
	must(err)
	defer late.Close()
	all, err = io.ReadAll(late)
	must(err)
	equal(string(all), strings.Join(many, ""), "the text after the end")
}

// A body that breaks after some bytes.
type cut struct {
	io.ReadCloser
	left int
}

func (c *cut) Read(buffer []byte) (int, error) {
	if c.left <= 0 {
		return 0, io.ErrUnexpectedEOF
	}
	if len(buffer) > c.left {
		buffer = buffer[:c.left]
	}
	n, err := c.ReadCloser.Read(buffer)
	c.left -= n
	return n, err
}
