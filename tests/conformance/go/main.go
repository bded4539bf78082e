// The official Go client, unmodified. Runs the checks of the client named by the first argument
// ("go", or the older "go-0.21" and "go-0.23") and reports each as one line of JSON, as suite/checks.py does.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	replicate "github.com/replicate/replicate-go"
)

const atOnce = 5

// Site is what is tested: see suite/site.py.
type Site struct {
	Owner         string            `json:"owner"`
	URL           string            `json:"url"`
	Token         string            `json:"token"`
	StrictURL     string            `json:"strict_url"`
	StrictBackend string            `json:"strict_backend"`
	StrictToken   string            `json:"strict_token"`
	Mimeo         string            `json:"mimeo"`
	StrictDB      string            `json:"strict_database"`
	Versions      map[string]string `json:"versions"`
}

func (s *Site) model(name string) string { return s.Owner + "/" + name }
func (s *Site) ref(name string) string   { return s.Owner + "/" + name + ":" + s.Versions[name] }

// Each with connections of its own: the client's streams read on in the background when a check has ended.
func (s *Site) client(options ...replicate.ClientOption) *replicate.Client {
	own := &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}
	options = append([]replicate.ClientOption{replicate.WithHTTPClient(own)}, options...)
	client, err := replicate.NewClient(append([]replicate.ClientOption{
		replicate.WithToken(s.Token), replicate.WithBaseURL(s.URL + "/v1")}, options...)...)
	must(err)
	return client
}

type check struct {
	row  int
	name string
	run  func(ctx context.Context, s *Site)
}

type failure struct{ text string }

func fail(format string, args ...any) { panic(failure{fmt.Sprintf(format, args...)}) }

func must(err error) {
	if err != nil {
		fail("%v", err)
	}
}

func expect(ok bool, format string, args ...any) {
	if !ok {
		fail(format, args...)
	}
}

func equal[T comparable](got, wanted T, what string) {
	expect(got == wanted, "%s is %v instead of %v", what, got, wanted)
}

func contains(text, part, what string) {
	expect(strings.Contains(text, part), "%s lacks %q: %s", what, part, text)
}

func refused(err error, status int) {
	api := &replicate.APIError{}
	expect(err != nil, "it was not refused")
	if !asAPIError(err, &api) {
		fail("%v is no answer of the API", err)
	}
	equal(api.Status, status, "the status")
}

var names struct {
	sync.Mutex
	count int
}

func unique(word string) string {
	names.Lock()
	defer names.Unlock()
	names.count++
	return fmt.Sprintf("%s-%d-%d", word, os.Getpid(), names.count)
}

var printing sync.Mutex

func runOne(client string, s *Site, c check) {
	start := time.Now()
	status, detail := "pass", ""
	func() {
		defer func() {
			switch problem := recover().(type) {
			case nil:
			case failure:
				status, detail = "fail", problem.text
			default:
				status, detail = "fail", fmt.Sprintf("panic: %v", problem)
			}
		}()
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		c.run(ctx, s)
	}()
	line, _ := json.Marshal(map[string]any{"row": c.row, "client": client, "check": c.name, "status": status,
		"detail": detail, "seconds": time.Since(start).Seconds()})
	printing.Lock()
	defer printing.Unlock()
	fmt.Println(string(line))
}

func main() {
	client := os.Args[1]
	data, err := os.ReadFile(os.Getenv("MIMEO_CONFORMANCE_SITE"))
	site := &Site{}
	if err == nil {
		err = json.Unmarshal(data, site)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	wanted := map[int]bool{}
	for _, text := range strings.Split(os.Getenv("MIMEO_CONFORMANCE_ROWS"), ",") {
		if row, err := strconv.Atoi(text); err == nil {
			wanted[row] = true
		}
	}
	var group sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for _, one := range checksOf(client) {
		if len(wanted) > 0 && !wanted[one.row] {
			continue
		}
		group.Add(1)
		slots <- struct{}{}
		go func(one check) {
			defer group.Done()
			runOne(client, site, one)
			<-slots
		}(one)
	}
	group.Wait()
}

func asAPIError(err error, out **replicate.APIError) bool {
	for err != nil {
		switch found := err.(type) {
		case *replicate.APIError:
			*out = found
			return true
		case replicate.APIError:
			*out = &found
			return true
		}
		wrapped, ok := err.(interface{ Unwrap() error })
		if !ok {
			return false
		}
		err = wrapped.Unwrap()
	}
	return false
}
