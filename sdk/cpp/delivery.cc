// How a prediction's result gets to who asked for it: one answer, or a stream of events.

#include "sdk/cpp/server.h"

namespace mimeo::sdk {
namespace {

namespace asio = boost::asio;

constexpr std::chrono::seconds kKeepAlive{15};

asio::awaitable<void> cancel_on_disconnect(http::Exchange* exchange, std::shared_ptr<Run> run) {
  co_await exchange->wait_for_disconnect();
  if (!run->is_done()) run->cancel();
}

// One reader of a stream, until it leaves.
class Reader {
 public:
  Reader(std::shared_ptr<Run> run, StreamOwner owner) : run_(std::move(run)) {
    if (owner == StreamOwner::kYes) run_->is_owned_by_stream = true;
    ++run_->readers;
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() { leave(); }

  // The last one out ends a prediction that nobody else waits for.
  void leave() {
    if (has_left_) return;
    has_left_ = true;
    if (--run_->readers == 0 && run_->is_owned_by_stream && !run_->is_done()) run_->cancel();
  }

 private:
  const std::shared_ptr<Run> run_;
  bool has_left_ = false;
};

asio::awaitable<void> leave_on_disconnect(http::Exchange* exchange,
                                          std::shared_ptr<Reader> reader) {
  co_await exchange->wait_for_disconnect();
  reader->leave();
}

void append_event(std::string& out, const std::string& name, const Json& data) {
  out.append("event: ").append(name).append("\ndata: ");
  out += data.dump(-1, ' ', false, Json::error_handler_t::replace);
  out += "\n\n";
}

}  // namespace

asio::awaitable<void> Server::answer(http::Exchange& exchange, std::shared_ptr<Run> run,
                                     Delivery delivery) {
  if (delivery == Delivery::kStream) {
    co_await stream(exchange, std::move(run), StreamOwner::kYes);
    co_return;
  }
  http::Response response;
  if (delivery == Delivery::kAsync) {
    response = json_response(202, {{"id", run->id()}, {"status", "starting"}});
  } else {
    // A client that goes away cancels its prediction. The watcher ends with the exchange.
    tasks_.spawn("watch", cancel_on_disconnect(&exchange, run));
    co_await run->wait();
    response = json_response(200, run->result());
  }
  co_await exchange.respond(std::move(response));
}

asio::awaitable<void> Server::stream(http::Exchange& exchange, std::shared_ptr<Run> run,
                                     StreamOwner owner) {
  auto reader = std::make_shared<Reader>(run, owner);
  http::Response head;
  head.headers.set("Content-Type", "text/event-stream");
  head.headers.set("Cache-Control", "no-cache");
  Status sent = co_await exchange.start_stream(std::move(head));
  tasks_.spawn("watch", leave_on_disconnect(&exchange, reader));
  std::size_t next = 0;
  while (sent.ok()) {
    const StreamBatch batch = co_await run->events(next, kKeepAlive);
    std::string chunk;
    bool is_last = batch.skipped > 0;
    if (is_last) {
      append_event(chunk, "error",
                   {{"error", "The stream lost events"}, {"skipped", batch.skipped}});
    } else {
      for (const StreamEvent& event : batch.events) append_event(chunk, event.name, event.data);
      is_last = !batch.events.empty() && batch.events.back().name == "completed";
    }
    if (chunk.empty()) chunk = ":keep-alive\n\n";
    next = batch.next;
    sent = co_await exchange.write(std::move(chunk));
    if (is_last && sent.ok()) {
      co_await exchange.end_stream();
      break;
    }
  }
  reader->leave();
}

}  // namespace mimeo::sdk
