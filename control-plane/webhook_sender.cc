#include "control-plane/webhook_sender.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "common/async/signal_event.h"
#include "common/async/task_group.h"
#include "common/telemetry/log.h"
#include "control-plane/recent_predictions.h"
#include "control-plane/webhook_ledger.h"
#include "control-plane/webhook_progress.h"
#include "control-plane/webhook_signature.h"
#include "control-plane/webhook_url.h"

namespace mimeo::control {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using store::DeliveryState;
using store::PredictionView;
using store::WebhookDelivery;
using store::WebhookEvent;
using store::WebhookSettlement;
using Then = WebhookSettlement::Then;

constexpr milliseconds kStopLimit{3000};
constexpr std::size_t kClaims = 256;         // Per read.
constexpr std::size_t kUnderWay = 4096;      // Claimed and not settled.
constexpr milliseconds kTestPatience{1000};  // For a place.
constexpr milliseconds kSoonest{500};        // Deliveries that found no place spread over a while.
constexpr std::uint64_t kSpreadMs = 8000;

// What happened to one claimed delivery: a receipt, or why nothing was sent.
struct Outcome {
  Status status;
  std::optional<WebhookReceipt> receipt;
  // Without a receipt: worth another try after this, which costs nothing.
  std::optional<milliseconds> put_off;
};

bool is_hopeless(const Status& status) {
  return absl::IsNotFound(status) || absl::IsInvalidArgument(status) ||
         absl::IsPermissionDenied(status);
}

// One more while it lives, however its coroutine ends.
class Count {
 public:
  explicit Count(std::size_t& number) : number_(number) { ++number_; }
  Count(const Count&) = delete;
  Count& operator=(const Count&) = delete;
  ~Count() { --number_; }

 private:
  std::size_t& number_;
};

class Sender final : public WebhookSender {
 public:
  Sender(asio::any_io_executor executor, WebhookParts parts, WebhookOptions options);

  void start() override {
    claims_.spawn("webhooks", run());
    ledger_tasks_.spawn("log of webhooks", ledger_.run());
  }
  asio::awaitable<void> stop() override;
  asio::awaitable<Result<WebhookReceipt>> send_test(AccountId account, std::string url,
                                                    std::string body) override;
  void look_now() override { look_now_.set(); }
  void forget_secrets(AccountId account) override { courier_.forget_secrets(account); }

 private:
  asio::awaitable<void> run();
  asio::awaitable<std::size_t> claim();
  asio::awaitable<void> deliver(WebhookDelivery delivery);
  asio::awaitable<Outcome> try_delivery(const WebhookDelivery* delivery);
  asio::awaitable<Outcome> send(const WebhookDelivery* delivery, HostHealth* health);
  Outcome not_admitted(const WebhookDelivery& delivery, const Admission& admission) const;
  [[nodiscard]] WebhookSettlement settlement_of(const WebhookDelivery& delivery, Outcome outcome);
  [[nodiscard]] std::optional<milliseconds> next_try(const WebhookDelivery& delivery,
                                                     const Outcome& outcome) const;

  const WebhookParts parts_;
  const WebhookOptions options_;
  prometheus::Counter& given_up_;
  WebhookGate gate_;
  WebhookCourier courier_;
  WebhookLedger ledger_;
  WebhookProgress progress_;
  std::size_t under_way_ = 0;
  std::size_t tests_ = 0;
  bool is_stopping_ = false;
  SignalEvent look_now_;
  TaskGroup claims_;
  TaskGroup ledger_tasks_;
  TaskGroup tasks_;  // Deliveries. Last: its tasks use everything above.
};

ProgressOptions progress_options(const WebhookOptions& options) {
  ProgressOptions progress;
  progress.first_after = options.first_progress_after;
  progress.throttle = options.throttle;
  progress.timeout = options.progress_timeout;
  progress.hold = options.hold;
  progress.ask_again = std::min(progress.ask_again, options.poll_every);
  return progress;
}

Sender::Sender(asio::any_io_executor executor, WebhookParts parts, WebhookOptions options)
    : parts_(std::move(parts)),
      options_(std::move(options)),
      given_up_(parts_.metrics.counter("mimeo_control_plane_webhooks_given_up_total",
                                       "Webhooks that no try delivered.")),
      gate_(executor, parts_.clock, options_.gate),
      courier_({parts_.log, parts_.read_pool, parts_.send_pool, parts_.clock, parts_.metrics,
                parts_.send}),
      ledger_(executor, parts_.read_pool, parts_.outbox),
      progress_(executor,
                {parts_.outbox, parts_.intake, parts_.hub, parts_.committer, parts_.watch,
                 parts_.recent, parts_.read_pool, parts_.clock, parts_.random, parts_.sender, gate_,
                 courier_, ledger_, parts_.render},
                progress_options(options_)),
      look_now_(executor),
      claims_(executor),
      ledger_tasks_(executor),
      tasks_(executor) {
  parts_.watch.on_end([this](PredictionId id, PredictionStatus) {
    const PredictionView* known = parts_.recent.find(id);
    if (known != nullptr && !known->webhook.empty()) look_now_.set();  // Its row is there now.
  });
}

asio::awaitable<void> Sender::stop() {
  is_stopping_ = true;
  gate_.close();
  look_now_.set();
  const Status claimed = co_await claims_.wait(kStopLimit);
  if (!claimed.ok()) claims_.cancel();
  const Status stopped = co_await progress_.stop(kStopLimit);
  if (!stopped.ok()) log::warn("stopping webhooks of predictions: {}", stopped.ToString());
  const Status finished = co_await tasks_.wait(kStopLimit);
  if (!finished.ok()) log::debug("webhooks under way are left to others: {}", finished.ToString());
  tasks_.cancel();
  ledger_tasks_.cancel();
  const Status status = co_await tasks_.wait(kStopLimit);
  if (!status.ok()) log::warn("stopping webhooks: {}", status.ToString());
  auto release = [this] { return parts_.outbox.release_holds(parts_.sender); };
  const Status released = co_await parts_.read_pool.run(std::move(release));
  if (!released.ok()) log::debug("releasing holds: {}", released.ToString());
}

asio::awaitable<void> Sender::run() {
  bool is_more = false;
  for (;;) {
    if (!is_more) co_await look_now_.wait_for(options_.poll_every);
    look_now_.reset();
    if (is_stopping_) co_return;
    const std::size_t claimed = co_await claim();
    is_more = claimed == kClaims;
  }
}

asio::awaitable<std::size_t> Sender::claim() {
  if (under_way_ + kClaims > kUnderWay) co_return 0;
  auto read = [this] { return parts_.outbox.claim_due(kClaims, options_.lease, parts_.sender); };
  Result<std::vector<WebhookDelivery>> due = co_await parts_.read_pool.run(std::move(read));
  if (!due.ok()) {
    log::debug("reading due webhooks: {}", due.status().ToString());
    co_return 0;
  }
  for (WebhookDelivery& delivery : *due) {
    ++under_way_;
    tasks_.spawn("deliver a webhook", deliver(std::move(delivery)));
  }
  co_return due->size();
}

asio::awaitable<void> Sender::deliver(WebhookDelivery delivery) {
  Outcome outcome = co_await try_delivery(&delivery);
  WebhookSettlement item = settlement_of(delivery, std::move(outcome));
  const bool is_over = item.then == Then::kRemove;
  const Status written = co_await ledger_.settle(std::move(item));
  if (!written.ok()) log::debug("settling a webhook: {}", written.ToString());
  --under_way_;
  if (!is_over || !delivery.redelivery_of.empty()) co_return;
  if (delivery.event == WebhookEvent::kCompleted) progress_.forget(delivery.prediction);
  if (delivery.event == WebhookEvent::kStart) look_now_.set();  // `completed` may be behind it.
}

asio::awaitable<Outcome> Sender::try_delivery(const WebhookDelivery* delivery) {
  Outcome outcome;
  const Result<WebhookUrl> url = parse_webhook_url(delivery->url);
  if (!url.ok()) {
    outcome.status =
        delivery->url.empty() ? absl::NotFoundError("the prediction is gone") : url.status();
    co_return outcome;
  }
  // In order: no `output` or `logs` of this process is on its way any more.
  const bool is_last =
      delivery->event == WebhookEvent::kCompleted && delivery->redelivery_of.empty();
  if (is_last) co_await progress_.wait_idle(delivery->prediction);
  const std::string host = url->receiver();
  const Patience patience =
      delivery->redelivery_of.empty() ? Patience::kNormal : Patience::kAskAnyway;
  const Admission admission =
      co_await gate_.enter(host, delivery->account, options_.wait_for_place, patience);
  if (admission.entry != Entry::kGo) co_return not_admitted(*delivery, admission);
  WebhookGate::Place place(gate_, host, delivery->account);
  outcome = co_await send(delivery, &place.health);
  co_return outcome;
}

// With a place.
asio::awaitable<Outcome> Sender::send(const WebhookDelivery* delivery, HostHealth* health) {
  Outcome outcome;
  const Result<PredictionView> view = co_await parts_.intake.view(delivery->prediction, 0);
  if (!view.ok()) {
    outcome.status = view.status();
    if (!is_hopeless(view.status())) outcome.put_off = kSoonest;  // The database is away.
    co_return outcome;
  }
  Webhook webhook;
  webhook.account = delivery->account;
  webhook.url = delivery->url;
  webhook.id = delivery->redelivery_of.empty()
                   ? webhook_id_of(delivery->prediction, delivery->event)
                   : delivery->redelivery_of;
  webhook.body = parts_.render(*view);
  webhook.timeout = options_.timeout;
  WebhookReceipt receipt = co_await courier_.deliver(std::move(webhook));
  *health = receipt.health;
  outcome.status = receipt.status;
  outcome.receipt = std::move(receipt);
  co_return outcome;
}

Outcome Sender::not_admitted(const WebhookDelivery& delivery, const Admission& admission) const {
  Outcome outcome;
  const auto age = parts_.clock.now() - delivery.created_at;
  if (admission.entry == Entry::kLeftAlone) {
    outcome.status =
        absl::UnavailableError("not sent: the host did not answer several times just now");
    const auto left = std::chrono::ceil<milliseconds>(admission.until - parts_.clock.steady());
    const bool may_wait = delivery.event == WebhookEvent::kCompleted;
    if (may_wait && age < options_.patience_alone) outcome.put_off = left;
    return outcome;
  }
  outcome.status =
      absl::UnavailableError("not sent: the host is too slow for what is on its way to it");
  if (is_stopping_) {
    outcome.put_off = milliseconds(0);  // Somebody else's, or ours after the start.
  } else if (age < options_.patience_full) {
    outcome.put_off = kSoonest + milliseconds(parts_.random.below(kSpreadMs));
  }
  return outcome;
}

// When to try again a delivery that failed; nullopt: give up.
std::optional<milliseconds> Sender::next_try(const WebhookDelivery& delivery,
                                             const Outcome& outcome) const {
  const bool is_retried =
      delivery.event == WebhookEvent::kCompleted && delivery.redelivery_of.empty();
  const bool is_over =
      !is_retried || is_hopeless(outcome.status) || delivery.tries >= options_.retry_after.size();
  if (is_over) return std::nullopt;
  return options_.retry_after[delivery.tries];
}

WebhookSettlement Sender::settlement_of(const WebhookDelivery& delivery, Outcome outcome) {
  WebhookSettlement item;
  item.outbox_id = delivery.id;
  if (outcome.put_off) {
    item.then = Then::kTryAgainFreely;
    item.delay = *outcome.put_off;
    return item;
  }
  const std::optional<milliseconds> delay =
      outcome.status.ok() ? std::nullopt : next_try(delivery, outcome);
  if (delay) {
    item.then = Then::kTryAgain;
    item.delay = *delay;
  } else if (!outcome.status.ok()) {
    given_up_.Increment();
    log::debug("giving up a webhook prediction={}: {}", delivery.prediction.str(),
               outcome.status.ToString());
  }
  if (delivery.account == 0) return item;  // Nobody is left who could read of it.
  if (outcome.receipt) {
    item.attempt = std::move(outcome.receipt->attempt);
  } else {
    item.attempt.at = parts_.clock.now();
    item.attempt.error = std::string(outcome.status.message());
  }
  store::LoggedWebhook& logged = item.delivery.emplace();
  logged.id = delivery.redelivery_of.empty() ? webhook_id_of(delivery.prediction, delivery.event)
                                             : delivery.redelivery_of;
  logged.account = delivery.account;
  logged.prediction = delivery.prediction;
  logged.event = delivery.event;
  logged.url = delivery.url;
  logged.state = outcome.status.ok() ? DeliveryState::kDelivered
                 : delay             ? DeliveryState::kPending
                                     : DeliveryState::kFailed;
  if (delay) logged.next_at = parts_.clock.now() + *delay;
  return item;
}

asio::awaitable<Result<WebhookReceipt>> Sender::send_test(AccountId account, std::string url,
                                                          std::string body) {
  const Status busy = absl::ResourceExhaustedError("too many test webhooks are on their way");
  const Result<WebhookUrl> parsed = parse_webhook_url(url);
  if (!parsed.ok()) co_return parsed.status();
  if (tests_ >= options_.tests) co_return busy;
  const Count count(tests_);
  const std::string host = parsed->receiver();
  const Admission admission =
      co_await gate_.enter(host, account, kTestPatience, Patience::kAskAnyway);
  if (admission.entry != Entry::kGo) co_return busy;
  WebhookGate::Place place(gate_, host, account);
  Webhook webhook;
  webhook.account = account;
  webhook.url = std::move(url);
  webhook.id = make_webhook_id(parts_.clock.now(), parts_.random);
  webhook.body = std::move(body);
  webhook.timeout = options_.timeout;
  WebhookReceipt receipt = co_await courier_.deliver(std::move(webhook));
  place.health = receipt.health;
  co_return receipt;
}

}  // namespace

std::unique_ptr<WebhookSender> make_webhook_sender(asio::any_io_executor executor,
                                                   WebhookParts parts, WebhookOptions options) {
  return std::make_unique<Sender>(std::move(executor), std::move(parts), std::move(options));
}

}  // namespace mimeo::control
