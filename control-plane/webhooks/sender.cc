#include "control-plane/webhooks/sender.h"

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "common/async/signal_event.h"
#include "common/async/task_group.h"
#include "common/telemetry/log.h"
#include "control-plane/predictions/recent_predictions.h"
#include "control-plane/webhooks/ledger.h"
#include "control-plane/webhooks/progress.h"
#include "control-plane/webhooks/signature.h"
#include "control-plane/webhooks/url.h"

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

constexpr milliseconds kBreakLimit{5000};    // Until what is broken off is settled.
constexpr std::size_t kClaims = 256;         // Per read.
constexpr milliseconds kTestPatience{1000};  // For a place.
constexpr milliseconds kSoonest{500};        // Deliveries that found no place spread over a while.
constexpr std::uint64_t kSpreadMs = 8000;
constexpr std::uint64_t kLongestSpreadMs = 60'000;
constexpr std::uint64_t kSpreadPerSurplusMs = 4;

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

// Nothing of its prediction comes behind it: `completed`, or the last `output` or `logs`.
bool is_last(const WebhookDelivery& delivery) {
  return delivery.event != WebhookEvent::kStart && delivery.redelivery_of.empty();
}

// How many there are of each account.
using Counts = std::map<AccountId, std::size_t>;

std::size_t count_of(const Counts& counts, AccountId account) {
  const auto found = counts.find(account);
  return found == counts.end() ? 0 : found->second;
}

void count_down(Counts& counts, AccountId account) {
  const auto found = counts.find(account);
  if (found != counts.end() && --found->second == 0) counts.erase(found);
}

// One more of an account while it lives, however its coroutine ends. The counts are shared, as it
// may outlive the sender by a moment.
class Count {
 public:
  Count(std::shared_ptr<Counts> counts, AccountId account)
      : counts_(std::move(counts)), account_(account) {
    ++(*counts_)[account_];
  }
  Count(const Count&) = delete;
  Count& operator=(const Count&) = delete;
  ~Count() { count_down(*counts_, account_); }

 private:
  const std::shared_ptr<Counts> counts_;
  const AccountId account_;
};

// Whether a delivery may be tried, or its account has more under way than others can bear.
enum class Share : std::uint8_t { kWithin, kSurplus };

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
  asio::awaitable<void> deliver(WebhookDelivery delivery, Share share);
  asio::awaitable<Status> break_off();
  asio::awaitable<Outcome> try_delivery(const WebhookDelivery* delivery);
  asio::awaitable<Outcome> send(const WebhookDelivery* delivery, HostHealth* health);
  Outcome not_admitted(const WebhookDelivery& delivery, const Admission& admission) const;
  [[nodiscard]] milliseconds spread(AccountId account) const;
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
  Counts within_;   // Being tried.
  Counts surplus_;  // Put off since the account last had room.
  std::shared_ptr<Counts> tests_ = std::make_shared<Counts>();
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
  progress_.stop();
  look_now_.set();
  const Status claimed = co_await claims_.wait(kBreakLimit);
  if (!claimed.ok()) claims_.cancel();
  const Status stopped = co_await progress_.wait(options_.stop_after);
  const Status finished = co_await tasks_.wait(options_.stop_after);
  const bool is_empty = co_await gate_.wait_empty(milliseconds(0));  // Of tests, too.
  if (!stopped.ok() || !finished.ok() || !is_empty) {
    const Status broken = co_await break_off();
    if (!broken.ok()) log::warn("stopping webhooks: {}", broken.ToString());
  }
  ledger_tasks_.cancel();
  const Status ledger = co_await ledger_tasks_.wait(kBreakLimit);
  const Status flushed = co_await ledger_.flush();
  if (!ledger.ok() || !flushed.ok()) log::debug("logging webhooks: {}", flushed.ToString());
  auto release = [this] { return parts_.outbox.release_holds(parts_.sender); };
  const Status released = co_await parts_.read_pool.run(std::move(release));
  if (!released.ok()) log::debug("releasing holds: {}", released.ToString());
}

// What does not end by itself. Outcomes are settled all the same: see deliver().
asio::awaitable<Status> Sender::break_off() {
  courier_.stop();
  // A request that cannot be broken off ends with its timeout.
  const milliseconds limit = std::max(options_.timeout, options_.progress_timeout) + kBreakLimit;
  const Status stopped = co_await progress_.wait(limit);
  if (!stopped.ok()) progress_.cancel();
  const Status finished = co_await tasks_.wait(limit);
  if (!finished.ok()) tasks_.cancel();
  const Status ended = co_await tasks_.wait(kBreakLimit);
  if (!ended.ok()) co_return ended;
  const Status progressed = co_await progress_.wait(kBreakLimit);
  if (!progressed.ok()) co_return progressed;
  const bool is_empty = co_await gate_.wait_empty(limit);
  co_return is_empty ? absl::OkStatus() : absl::DeadlineExceededError("requests are under way");
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
  const std::size_t limit = std::min(kClaims, options_.under_way - under_way_);
  if (limit == 0) co_return 0;
  auto read = [this, limit] {
    return parts_.outbox.claim_due(limit, options_.lease, parts_.sender);
  };
  Result<std::vector<WebhookDelivery>> due = co_await parts_.read_pool.run(std::move(read));
  if (!due.ok()) {
    log::debug("reading due webhooks: {}", due.status().ToString());
    co_return 0;
  }
  for (WebhookDelivery& delivery : *due) {
    const AccountId account = delivery.account;
    const std::size_t within = count_of(within_, account);
    const Share share = within < options_.under_way_per_account ? Share::kWithin : Share::kSurplus;
    if (within < options_.under_way_per_account / 2) surplus_.erase(account);
    ++under_way_;
    ++(share == Share::kWithin ? within_ : surplus_)[account];
    tasks_.spawn("deliver a webhook", deliver(std::move(delivery), share));
  }
  co_return due->size();
}

asio::awaitable<void> Sender::deliver(WebhookDelivery delivery, Share share) {
  // What is known of a request is written down although everything stops: no wait is left out by a
  // cancellation, they only end sooner.
  co_await asio::this_coro::throw_if_cancelled(false);
  Outcome outcome;
  if (share == Share::kSurplus) {
    const Admission none;
    outcome = not_admitted(delivery, none);
  } else {
    outcome = co_await try_delivery(&delivery);
    count_down(within_, delivery.account);
  }
  WebhookSettlement item = settlement_of(delivery, std::move(outcome));
  const bool is_over = item.then == Then::kRemove;
  const Status written = co_await ledger_.settle(std::move(item));
  if (!written.ok()) log::debug("settling a webhook: {}", written.ToString());
  --under_way_;
  if (!is_over || !delivery.redelivery_of.empty()) co_return;
  if (is_last(delivery)) progress_.forget(delivery.prediction);
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
  if (is_last(*delivery)) co_await progress_.wait_idle(delivery->prediction);
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
  Webhook webhook;
  {  // The view goes before the request: it and the body may be large.
    const Result<PredictionView> view = co_await parts_.intake.view(delivery->prediction, 0);
    if (!view.ok()) {
      outcome.status = view.status();
      if (!is_hopeless(view.status())) outcome.put_off = kSoonest;  // The database is away.
      co_return outcome;
    }
    webhook.body = parts_.render(*view);
  }
  webhook.account = delivery->account;
  webhook.url = delivery->url;
  webhook.id = delivery->redelivery_of.empty()
                   ? webhook_id_of(delivery->prediction, delivery->event)
                   : delivery->redelivery_of;
  webhook.timeout = options_.timeout;
  WebhookReceipt receipt = co_await courier_.deliver(std::move(webhook));
  *health = receipt.health;
  outcome.status = receipt.status;
  if (absl::IsCancelled(receipt.status)) {
    outcome.put_off = milliseconds(0);  // Stopping. Nobody knows what became of it: once more.
    co_return outcome;
  }
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
    if (age < options_.patience_alone) outcome.put_off = left;
    return outcome;
  }
  outcome.status =
      absl::UnavailableError("not sent: too much is on its way to this host or for this account");
  if (is_stopping_) {
    outcome.put_off = milliseconds(0);  // Somebody else's, or ours after the start.
  } else if (age < options_.patience_full) {
    outcome.put_off = spread(delivery.account);
  }
  return outcome;
}

// The more an account has that is put off, the longer, so that looking at it costs no more than it
// is worth.
milliseconds Sender::spread(AccountId account) const {
  const std::uint64_t wanted = kSpreadMs + kSpreadPerSurplusMs * count_of(surplus_, account);
  return kSoonest + milliseconds(parts_.random.below(std::min(wanted, kLongestSpreadMs)));
}

// When to try again a delivery that failed; nullopt: give up.
std::optional<milliseconds> Sender::next_try(const WebhookDelivery& delivery,
                                             const Outcome& outcome) const {
  const bool is_over = !is_last(delivery) || is_hopeless(outcome.status) ||
                       delivery.tries >= options_.retry_after.size();
  if (is_over) return std::nullopt;
  return options_.retry_after[delivery.tries];
}

WebhookSettlement Sender::settlement_of(const WebhookDelivery& delivery, Outcome outcome) {
  WebhookSettlement item;
  item.outbox_id = delivery.id;
  item.claim = delivery.claim;
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
  const Result<WebhookUrl> parsed = parse_webhook_url(url);
  if (!parsed.ok()) co_return parsed.status();
  if (count_of(*tests_, account) >= options_.tests_per_account) {
    co_return absl::ResourceExhaustedError("Other test webhooks of this account are on their way.");
  }
  const Count count(tests_, account);
  const std::string host = parsed->receiver();
  const Admission admission =
      co_await gate_.enter(host, account, kTestPatience, Patience::kAskAnyway);
  if (admission.entry != Entry::kGo) {
    if (is_stopping_) co_return absl::UnavailableError("stopping");
    co_return absl::ResourceExhaustedError(
        "Too many webhooks are on their way, to this receiver or of this account.");
  }
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
