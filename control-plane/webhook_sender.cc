#include "control-plane/webhook_sender.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>

#include "common/async/signal_event.h"
#include "common/async/task_group.h"
#include "common/crypto/crypto.h"
#include "common/telemetry/log.h"
#include "control-plane/recent_predictions.h"

namespace mimeo::control {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using store::PredictionView;
using store::WebhookDelivery;
using store::WebhookEvent;

constexpr unsigned kOutputBit = 2;
constexpr unsigned kLogsBit = 4;
constexpr std::chrono::seconds kLease{60};  // Longer than a delivery takes with all its waiting.
constexpr std::chrono::seconds kSecretAge{60};
constexpr milliseconds kStopLimit{3000};
constexpr std::size_t kMaxProgress = 100'000;

std::string host_of(std::string_view url) {
  const std::size_t scheme = url.find("://");
  const std::string_view rest = scheme == std::string_view::npos ? url : url.substr(scheme + 3);
  return std::string(rest.substr(0, rest.find_first_of("/?#")));
}

// How one receiver behaves, and how many requests it has now.
struct Host {
  explicit Host(const asio::any_io_executor& executor) : changed(executor) {}
  std::size_t in_flight = 0;
  std::size_t waiting = 0;
  int failures = 0;  // In a row.
  SteadyTime closed_until;
  SignalEvent changed;
};

// `output` and `logs` of one running prediction, and which of its requests is under way.
struct Progress {
  explicit Progress(const asio::any_io_executor& executor) : idle(executor) { idle.set(); }
  bool is_known = false;    // Whether the prediction wants any of them.
  unsigned wanted = 0;      // Bits of webhook_events.
  unsigned pending = 0;     // What came since the last request.
  bool is_running = false;  // A task sends for it.
  bool is_ended = false;    // Nothing more of these is wanted.
  std::uint64_t sent = 0;
  SteadyTime last_sent;
  SignalEvent idle;  // No request is under way.
};

class Sender final : public WebhookSender {
 public:
  Sender(asio::any_io_executor executor, WebhookParts parts, WebhookOptions options);

  void start() override { tasks_.spawn("webhooks", run()); }
  asio::awaitable<void> stop() override {
    is_stopping_ = true;
    tasks_.cancel();
    const Status status = co_await tasks_.wait(kStopLimit);
    if (!status.ok()) log::warn("stopping webhooks: {}", status.ToString());
  }

 private:
  asio::awaitable<void> run();
  asio::awaitable<void> deliver(WebhookDelivery delivery);
  asio::awaitable<Status> try_delivery(const WebhookDelivery* delivery);
  asio::awaitable<Status> send_state(const WebhookDelivery* delivery);
  asio::awaitable<void> settle(WebhookDelivery delivery, Status status);
  asio::awaitable<Status> send(const PredictionView* view, std::string message_id);
  asio::awaitable<bool> enter(std::shared_ptr<Host> host);
  void leave(Host& host, const Status& status);
  asio::awaitable<Result<std::string>> secret_of(AccountId account);

  std::shared_ptr<Progress> progress_of(PredictionId id);
  void on_event(PredictionId id, const HubEvent& event);
  asio::awaitable<void> send_progress(PredictionId id, std::shared_ptr<Progress> progress);

  const asio::any_io_executor executor_;
  const WebhookParts parts_;
  const WebhookOptions options_;
  prometheus::Counter& delivered_;
  prometheus::Counter& failed_;
  prometheus::Counter& given_up_;
  prometheus::Histogram& seconds_;
  std::map<std::string, std::shared_ptr<Host>> hosts_;
  std::map<AccountId, std::pair<std::string, SteadyTime>> secrets_;
  std::unordered_map<PredictionId, std::shared_ptr<Progress>> progress_;
  std::size_t under_way_ = 0;
  bool is_stopping_ = false;
  SignalEvent look_now_;
  TaskGroup tasks_;  // Last: its tasks use everything above.
};

Sender::Sender(asio::any_io_executor executor, WebhookParts parts, WebhookOptions options)
    : executor_(executor),
      parts_(std::move(parts)),
      options_(std::move(options)),
      delivered_(parts_.metrics.counter("mimeo_control_plane_webhooks_total",
                                        "Webhook requests by outcome.",
                                        {{"outcome", "delivered"}})),
      failed_(parts_.metrics.counter("mimeo_control_plane_webhooks_total",
                                     "Webhook requests by outcome.", {{"outcome", "failed"}})),
      given_up_(parts_.metrics.counter("mimeo_control_plane_webhooks_given_up_total",
                                       "Webhooks that no try delivered.")),
      seconds_(
          parts_.metrics.histogram("mimeo_control_plane_webhook_seconds", "One webhook request.")),
      look_now_(executor),
      tasks_(executor) {
  parts_.hub.on_event([this](PredictionId id, const HubEvent& event) { on_event(id, event); });
  parts_.watch.on_end([this](PredictionId id, PredictionStatus) {
    if (const auto it = progress_.find(id); it != progress_.end()) {
      it->second->is_ended = true;
      if (!it->second->is_running) progress_.erase(it);
    }
    const PredictionView* known = parts_.recent.find(id);
    if (known != nullptr && !known->webhook.empty()) look_now_.set();  // Its row is there now.
  });
}

asio::awaitable<void> Sender::run() {
  for (;;) {
    co_await look_now_.wait_for(options_.poll_every);
    look_now_.reset();
    if (is_stopping_) co_return;
    if (under_way_ >= options_.in_flight) continue;
    auto claim = [this, room = options_.in_flight - under_way_] {
      return parts_.outbox.claim_due(room, kLease);
    };
    Result<std::vector<WebhookDelivery>> due = co_await parts_.read_pool.run(std::move(claim));
    if (!due.ok()) {
      log::debug("reading due webhooks: {}", due.status().ToString());
      continue;
    }
    for (WebhookDelivery& delivery : *due) {
      ++under_way_;
      tasks_.spawn("deliver a webhook", deliver(delivery));
    }
  }
}

asio::awaitable<void> Sender::deliver(WebhookDelivery delivery) {
  const Status status = co_await try_delivery(&delivery);
  co_await settle(delivery, status);
  --under_way_;
  if (under_way_ + 1 == options_.in_flight) look_now_.set();
}

// kNotFound and kInvalidArgument: there is nothing to try again.
asio::awaitable<Status> Sender::try_delivery(const WebhookDelivery* delivery) {
  const PredictionId id = delivery->prediction;
  const bool is_start = delivery->event == WebhookEvent::kStart;
  const std::shared_ptr<Progress> progress = progress_of(id);
  // In order, unless an earlier request takes too long.
  if (!is_start) co_await progress->idle.wait_for(options_.wait_for_progress);
  progress->idle.reset();
  const Status status = co_await send_state(delivery);
  progress->idle.set();
  if (!is_start) progress_.erase(id);
  co_return status;
}

asio::awaitable<Status> Sender::send_state(const WebhookDelivery* delivery) {
  const PredictionId id = delivery->prediction;
  const bool is_start = delivery->event == WebhookEvent::kStart;
  Result<PredictionView> view = co_await parts_.intake.view(id, 0);
  if (!view.ok()) co_return view.status();
  const std::string message_id = absl::StrCat("msg_", id.str(), is_start ? "_start" : "_completed");
  const Status status = co_await send(&*view, message_id);
  co_return status;
}

asio::awaitable<void> Sender::settle(WebhookDelivery delivery, Status status) {
  const std::size_t tries = delivery.tries;
  const bool is_hopeless = absl::IsNotFound(status) || absl::IsInvalidArgument(status) ||
                           absl::IsPermissionDenied(status);
  const bool is_last =
      delivery.event == WebhookEvent::kStart || is_hopeless || tries >= options_.retry_after.size();
  if (!status.ok() && is_last) {
    given_up_.Increment();
    log::debug("giving up a webhook prediction={}: {}", delivery.prediction.str(),
               status.ToString());
  }
  const milliseconds delay = is_last ? milliseconds(0) : options_.retry_after[tries];
  auto write = [this, id = delivery.id, delay, is_finished = status.ok() || is_last] {
    if (!is_finished) return parts_.outbox.put_off_delivery(id, delay);
    return parts_.outbox.remove_deliveries(std::span(&id, 1));
  };
  const Status written = co_await parts_.read_pool.run(std::move(write));
  if (!written.ok()) log::debug("settling a webhook: {}", written.ToString());
}

asio::awaitable<Status> Sender::send(const PredictionView* view, std::string message_id) {
  if (view->webhook.empty()) co_return absl::NotFoundError("no webhook is wanted");
  const Result<std::string> secret = co_await secret_of(view->account);
  if (!secret.ok()) co_return secret.status();
  http::OutboundRequest request;
  request.method = "POST";
  request.url = view->webhook;
  request.body = parts_.render(*view);
  request.timeout = options_.timeout;
  request.max_response = 64_KiB;
  const std::string url = view->webhook;
  std::shared_ptr<Host>& host = hosts_[host_of(url)];
  if (!host) host = std::make_shared<Host>(executor_);
  const std::shared_ptr<Host> held = host;
  const bool is_free = co_await enter(held);
  if (!is_free) co_return absl::UnavailableError("the receiver failed several times just now");
  // Signed when it leaves: receivers refuse old timestamps.
  Result<http::Headers> headers =
      sign_webhook(*secret, message_id, parts_.clock.now(), request.body);
  if (!headers.ok()) {
    leave(*held, absl::OkStatus());
    co_return headers.status();
  }
  request.headers = std::move(*headers);
  const SteadyTime begin = parts_.clock.steady();
  auto work = [this, request = std::move(request)] { return parts_.send(request); };
  const Result<http::Response> response = co_await parts_.send_pool.run(std::move(work));
  const std::chrono::duration<double> took = parts_.clock.steady() - begin;
  seconds_.Observe(took.count());
  Status status = response.status();
  if (response.ok() && (response->status < 200 || response->status > 299)) {
    status = absl::UnavailableError(absl::StrCat("the receiver answered ", response->status));
  }
  leave(*held, status);
  (status.ok() ? delivered_ : failed_).Increment();
  co_return status;
}

// Waits for a free place at this receiver. False while it is left alone.
asio::awaitable<bool> Sender::enter(std::shared_ptr<Host> host) {
  while (host->in_flight >= options_.in_flight_per_host) {
    ++host->waiting;
    host->changed.reset();
    co_await host->changed.wait_for(options_.timeout);
    --host->waiting;
    if (is_stopping_) co_return false;
  }
  if (host->closed_until > parts_.clock.steady()) co_return false;
  ++host->in_flight;
  co_return true;
}

void Sender::leave(Host& host, const Status& status) {
  --host.in_flight;
  host.failures = status.ok() ? 0 : host.failures + 1;
  if (host.failures >= options_.failures_to_open) {
    host.closed_until = parts_.clock.steady() + options_.open_for;
  }
  host.changed.set();
  if (hosts_.size() > 1000) {
    std::erase_if(hosts_, [](const auto& entry) {
      return entry.second->in_flight == 0 && entry.second->waiting == 0;
    });
  }
}

asio::awaitable<Result<std::string>> Sender::secret_of(AccountId account) {
  const auto known = secrets_.find(account);
  if (known != secrets_.end() && known->second.second > parts_.clock.steady()) {
    co_return known->second.first;
  }
  auto read = [this, account] { return parts_.catalog.get_account(account); };
  const Result<store::Account> found = co_await parts_.read_pool.run(std::move(read));
  if (!found.ok()) co_return found.status();
  if (secrets_.size() > 10'000) secrets_.clear();
  secrets_[account] = std::pair(found->webhook_secret, parts_.clock.steady() + kSecretAge);
  co_return found->webhook_secret;
}

std::shared_ptr<Progress> Sender::progress_of(PredictionId id) {
  // Ends that this process never hears of leave entries behind.
  if (progress_.size() > kMaxProgress) {
    std::erase_if(progress_, [](const auto& entry) {
      return !entry.second->is_running && entry.second->idle.is_set();
    });
  }
  std::shared_ptr<Progress>& progress = progress_[id];
  if (progress) return progress;
  progress = std::make_shared<Progress>(executor_);
  if (const PredictionView* known = parts_.recent.find(id); known != nullptr) {
    progress->is_known = true;
    progress->wanted = known->webhook.empty() ? 0U : known->webhook_events;
  }
  return progress;
}

void Sender::on_event(PredictionId id, const HubEvent& event) {
  if (event.from_peer || is_stopping_) return;  // The other control plane sends.
  unsigned bit = 0;
  if (event.kind == EventKind::kOutput) bit = kOutputBit;
  if (event.kind == EventKind::kLog) bit = kLogsBit;
  if (bit == 0) return;
  const std::shared_ptr<Progress> progress = progress_of(id);
  if (progress->is_ended) return;
  progress->pending |= bit;
  const bool may_send = !progress->is_known || (progress->wanted & progress->pending) != 0;
  if (!may_send || progress->is_running) return;
  progress->is_running = true;
  tasks_.spawn("webhooks of a running prediction", send_progress(id, progress));
}

asio::awaitable<void> Sender::send_progress(PredictionId id, std::shared_ptr<Progress> progress) {
  while (!is_stopping_ && !progress->is_ended) {
    const SteadyTime next = progress->last_sent + options_.throttle;
    const SteadyTime now = parts_.clock.steady();
    if (progress->sent > 0 && next > now) {
      const bool is_rested = co_await sleep_for(std::chrono::ceil<milliseconds>(next - now));
      if (!is_rested) break;
    }
    if (progress->is_ended) break;  // `completed` tells the rest.
    if (progress->is_known && (progress->wanted & progress->pending) == 0) break;
    const unsigned sending = std::exchange(progress->pending, 0U);
    progress->idle.reset();
    Result<PredictionView> view = co_await parts_.intake.view(id, 0);
    if (!view.ok() || is_terminal(view->status)) break;
    progress->is_known = true;
    progress->wanted = view->webhook.empty() ? 0U : view->webhook_events;
    if ((progress->wanted & sending) == 0) {
      progress->idle.set();
      continue;
    }
    progress->last_sent = parts_.clock.steady();
    const std::string message_id = absl::StrCat("msg_", id.str(), "_", ++progress->sent);
    const Status status = co_await send(&*view, message_id);
    progress->idle.set();
    if (status.ok() && !view->output.empty()) parts_.committer.output_delivered(id);
    if (progress->pending == 0) break;
  }
  progress->is_running = false;
  progress->idle.set();
  if (!progress->is_ended) co_return;
  const auto it = progress_.find(id);
  if (it != progress_.end() && it->second == progress) progress_.erase(it);
}

}  // namespace

Result<http::Headers> sign_webhook(std::string_view secret, std::string_view id, WallTime at,
                                   std::string_view body) {
  constexpr std::string_view kPrefix = "whsec_";
  std::optional<std::string> key;
  if (secret.starts_with(kPrefix)) key = crypto::base64_decode(secret.substr(kPrefix.size()));
  if (!key) return absl::InvalidArgumentError("the account's webhook secret is malformed");
  const auto seconds = std::chrono::floor<std::chrono::seconds>(at).time_since_epoch().count();
  const std::string timestamp = std::to_string(seconds);
  std::string content(id);
  content.append(".").append(timestamp).append(".").append(body);
  const std::string signature = crypto::base64(crypto::hmac_sha256(*key, content));
  http::Headers headers;
  headers.add("Content-Type", "application/json");
  headers.add("User-Agent", "Mimeo-Webhooks/1");
  headers.add("webhook-id", std::string(id));
  headers.add("webhook-timestamp", timestamp);
  headers.add("webhook-signature", "v1," + signature);
  return headers;
}

std::unique_ptr<WebhookSender> make_webhook_sender(asio::any_io_executor executor,
                                                   WebhookParts parts, WebhookOptions options) {
  return std::make_unique<Sender>(std::move(executor), std::move(parts), std::move(options));
}

}  // namespace mimeo::control
