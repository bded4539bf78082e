// Stands in for the Cog server of every generation, in tests: the wire behaviour that
// worker/cog relies on, including the bad habits, with a model that does what its input says.
//
// The model, by input.do:
//   echo (default)  answers input.text
//   say             prints input.text, then answers "said"
//   fail            prints "before", then raises ValueError: boom
//   wait            prints "waiting", then waits for release() or a cancel; answers "released"
//   stubborn        the same, but ignores a cancel
//   yield           yields input.items one by one, waits for release(), then ends
//   upload          PUTs input.text as input.name to the upload URL and answers what came back
//   fetch           GETs input.url and answers the content
//   large           answers input.bytes times 'x'
//   die             cuts every connection and stops listening, as a crashed container

#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "worker/cog/server_health.h"

namespace mimeo::worker::cog {

// What /trainings does in a server that was started to train.
enum class FakeTrainings : std::uint8_t {
  kNone,    // 404: there is no trainer.
  kBroken,  // 500, as in Cog 0.9 to 0.11, where /predictions trains.
  kWork,
};

struct FakeCogOptions {
  Generation generation = Generation::kCoglet;
  std::string version = "0.23.1";
  std::string openapi;     // Served at /openapi.json; empty = 503.
  std::string upload_url;  // As after --upload-url.
  int listening_fd = -1;   // A socket made elsewhere, in another network namespace.
  std::string health = "READY";
  int slots = 1;
  FakeTrainings trainings = FakeTrainings::kNone;
  std::string setup_logs = "model loaded\n";
};

struct SeenRequest {
  std::string method;
  std::string target;
  std::string body;
  std::string prefer;
  std::string accept;
  std::string traceparent;
};

// Runs on a thread of its own; every method may be called from the test's.
class FakeCogServer {
 public:
  explicit FakeCogServer(FakeCogOptions options);
  ~FakeCogServer();
  FakeCogServer(const FakeCogServer&) = delete;
  FakeCogServer& operator=(const FakeCogServer&) = delete;

  [[nodiscard]] std::uint16_t port() const;
  void set_health(const std::string& word);
  // The next `count` creates are answered 409, as by coglet just after a result.
  void refuse_next(int count);
  // Lets one model that waits, or will wait next, go on.
  void release();
  // The next event stream is cut after so many events, with coglet's "error" event.
  void break_stream_after(int events);
  // As a container that crashes.
  void die();

  [[nodiscard]] std::vector<SeenRequest> requests() const;
  // Requests whose method and target begin like this: "PUT /predictions/abc".
  [[nodiscard]] int count(const std::string& method_and_target) const;
  [[nodiscard]] int runs() const;     // How often the model was started.
  [[nodiscard]] int cancels() const;  // How many runs took notice of a cancel.

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// An OpenAPI document as Cog makes it: `output` is the schema of the output, as JSON.
[[nodiscard]] std::string fake_openapi(const std::string& output, bool has_events = false);

}  // namespace mimeo::worker::cog
