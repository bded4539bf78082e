#include "control-plane/webhooks/progress.h"

#include <algorithm>
#include <utility>

#include "common/telemetry/log.h"
#include "control-plane/webhooks/signature.h"
#include "control-plane/webhooks/url.h"

namespace mimeo::control {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using store::PredictionView;
using store::WebhookEvent;

constexpr unsigned kStartBit = static_cast<unsigned>(WebhookEvent::kStart);
constexpr unsigned kOutputBit = static_cast<unsigned>(WebhookEvent::kOutput);
constexpr unsigned kLogsBit = static_cast<unsigned>(WebhookEvent::kLogs);
constexpr std::size_t kMaxRunning = 100'000;
constexpr std::size_t kLoggedBytes = 4096;  // Of each body: there may be many of them.
constexpr milliseconds kWaitForPlace{2000};
constexpr milliseconds kBeforeRequest{1000};  // Until the account's secrets are read, if they must.

}  // namespace

WebhookProgress::WebhookProgress(asio::any_io_executor executor, ProgressParts parts,
                                 ProgressOptions options)
    : executor_(executor),
      parts_(std::move(parts)),
      options_(options),
      stopping_(executor),
      holds_(executor, parts_.read_pool,
             [this](std::span<const PredictionId> ids) {
               return parts_.outbox.hold_predictions(ids, parts_.sender, options_.hold);
             }),
      tasks_(executor) {
  parts_.hub.on_event([this](PredictionId id, const HubEvent& event) { on_event(id, event); });
  parts_.watch.on_end([this](PredictionId id, PredictionStatus) { on_end(id); });
}

asio::awaitable<Status> WebhookProgress::wait(milliseconds limit) { return tasks_.wait(limit); }

asio::awaitable<void> WebhookProgress::wait_idle(PredictionId id) {
  const auto found = predictions_.find(id);
  if (found == predictions_.end()) co_return;
  const std::shared_ptr<Running> running = found->second;
  running->is_ended = true;  // The caller has its end at hand.
  co_await running->idle.wait_for(options_.timeout + milliseconds(1000));
}

void WebhookProgress::on_end(PredictionId id) {
  const auto it = predictions_.find(id);
  if (it == predictions_.end()) return;
  it->second->is_ended = true;
  if (!it->second->is_busy) predictions_.erase(it);
}

std::shared_ptr<WebhookProgress::Running> WebhookProgress::running(PredictionId id) {
  // Ends that this process never hears of leave entries behind.
  if (predictions_.size() > kMaxRunning) {
    std::erase_if(predictions_, [](const auto& entry) { return !entry.second->is_busy; });
  }
  std::shared_ptr<Running>& running = predictions_[id];
  if (running) return running;
  running = std::make_shared<Running>(executor_);
  if (const PredictionView* known = parts_.recent.find(id); known != nullptr) {
    running->is_known = true;
    running->wanted = known->webhook.empty() ? 0U : known->webhook_events;
    running->account = known->account;
    running->url = known->webhook;
  }
  return running;
}

void WebhookProgress::on_event(PredictionId id, const HubEvent& event) {
  if (event.from_peer || stopping_.is_set()) return;  // The other control plane sends.
  unsigned bit = 0;
  if (event.kind == EventKind::kOutput) bit = kOutputBit;
  if (event.kind == EventKind::kLog) bit = kLogsBit;
  if (bit == 0) return;
  const std::shared_ptr<Running> at = running(id);
  if (at->is_ended) return;
  at->pending |= bit;
  const bool may_send = !at->is_known || (at->wanted & at->pending) != 0;
  if (!may_send || at->is_busy) return;
  at->is_busy = true;
  tasks_.spawn("webhooks of a running prediction", send_all(id, at));
}

asio::awaitable<void> WebhookProgress::send_all(PredictionId id, std::shared_ptr<Running> at) {
  bool goes_on = true;
  // A prediction that ends this soon is told by `completed` alone, and takes no hold.
  if (at->sent == 0) goes_on = co_await rest(options_.first_after);
  while (goes_on && !stopping_.is_set() && !at->is_ended) {
    const bool is_more = co_await send_some(id, at);
    goes_on = is_more;
  }
  at->is_busy = false;
  if (!at->is_ended) co_return;
  const auto it = predictions_.find(id);
  if (it != predictions_.end() && it->second == at) predictions_.erase(it);
}

// False when everything stops meanwhile.
asio::awaitable<bool> WebhookProgress::rest(milliseconds duration) {
  const bool is_stopping = co_await stopping_.wait_for(duration);
  co_return !is_stopping;
}

// One request when it is time for it. False: there is nothing (more) to send now.
asio::awaitable<bool> WebhookProgress::send_some(PredictionId id, std::shared_ptr<Running> at) {
  const SteadyTime next = at->last_sent + options_.throttle;
  const SteadyTime now = parts_.clock.steady();
  if (at->sent > 0 && next > now) {
    const bool is_rested = co_await rest(std::chrono::ceil<milliseconds>(next - now));
    co_return is_rested;
  }
  if (!at->is_known) {
    const bool is_running = co_await learn(id, at);
    co_return is_running;
  }
  if ((at->wanted & at->pending) == 0) co_return false;
  const Turn turn = co_await take_turn(id, at);
  if (turn == Turn::kNever) co_return false;
  if (turn == Turn::kNotYet) {
    const bool is_rested = co_await rest(options_.ask_again);
    co_return is_rested;
  }
  const Result<WebhookUrl> url = parse_webhook_url(at->url);
  if (!url.ok()) co_return false;
  const Admission admission =
      co_await parts_.gate.enter(url->receiver(), at->account, kWaitForPlace);
  if (admission.entry != Entry::kGo) {
    at->pending = 0;  // Not retried; what comes next tells the rest.
    co_return true;
  }
  WebhookGate::Place place(parts_.gate, url->receiver(), at->account);
  at->idle.reset();
  const bool goes_on = co_await send_newest(id, at, &place.health);
  at->idle.set();
  co_return goes_on;
}

// The hold outlasts a request that begins now: until then nobody else sends `completed`.
bool WebhookProgress::is_held_for_a_request(const Running& at) const {
  return at.held_until >= parts_.clock.steady() + kBeforeRequest + options_.timeout;
}

// With a place and the turn.
asio::awaitable<bool> WebhookProgress::send_newest(PredictionId id, std::shared_ptr<Running> at,
                                                   HostHealth* health) {
  if (at->is_ended) co_return false;  // `completed` tells the rest.
  const unsigned sending = std::exchange(at->pending, 0U) & at->wanted;
  Webhook webhook;
  bool has_output = false;
  {  // The view goes before the request: it and the body may be large.
    const Result<PredictionView> view = co_await parts_.intake.view(id, 0);
    if (!view.ok() || is_terminal(view->status) || at->is_ended) co_return false;
    has_output = !view->output.empty();
    webhook.body = parts_.render(*view);
  }
  if (!is_held_for_a_request(*at)) {  // The wait and the read took too long.
    at->pending |= sending;
    co_return true;
  }
  at->last_sent = parts_.clock.steady();
  ++at->sent;
  webhook.account = at->account;
  webhook.url = at->url;
  webhook.id = make_webhook_id(parts_.clock.now(), parts_.random);
  webhook.timeout = options_.timeout;
  webhook.logged_bytes = kLoggedBytes;
  const std::string webhook_id = webhook.id;
  WebhookReceipt receipt = co_await parts_.courier.deliver(std::move(webhook));
  *health = receipt.health;
  if (receipt.status.ok() && has_output) parts_.committer.output_delivered(id);
  note(id, *at, sending, webhook_id, std::move(receipt));
  co_return true;
}

// Reads what an event of a prediction that somebody else created does not tell.
asio::awaitable<bool> WebhookProgress::learn(PredictionId id, std::shared_ptr<Running> at) {
  const Result<PredictionView> view = co_await parts_.intake.view(id, 0);
  if (!view.ok() || is_terminal(view->status)) co_return false;
  at->is_known = true;
  at->wanted = view->webhook.empty() ? 0U : view->webhook_events;
  at->account = view->account;
  at->url = view->webhook;
  co_return true;
}

asio::awaitable<WebhookProgress::Turn> WebhookProgress::take_turn(PredictionId id,
                                                                  std::shared_ptr<Running> at) {
  const bool needs_start = (at->wanted & kStartBit) != 0 && !at->start_is_out;
  const SteadyTime begin = parts_.clock.steady();
  // With a wait for a place and a read before it; send_newest() looks once more.
  const SteadyTime needed_until = begin + kWaitForPlace + kBeforeRequest + options_.timeout;
  if (at->held_until > needed_until && !needs_start) co_return Turn::kOurs;
  const Result<store::WebhookHold> hold = co_await holds_.submit(id);
  if (!hold.ok()) {
    log::debug("holding prediction={}: {}", id.str(), hold.status().ToString());
    co_return Turn::kNotYet;
  }
  if (!hold->is_active) co_return Turn::kNever;
  if (!hold->is_held) co_return Turn::kNotYet;
  at->held_until = begin + options_.hold;
  at->start_is_out = hold->has_started && !hold->owes_start;
  if (needs_start && !at->start_is_out) co_return Turn::kNotYet;
  co_return Turn::kOurs;
}

bool WebhookProgress::may_note(const Running& at) {
  if (at.sent > options_.logged) return false;
  const SteadyTime now = parts_.clock.steady();
  if (now - noted_since_ > std::chrono::minutes(1)) {
    noted_.clear();
    noted_since_ = now;
  }
  return ++noted_[at.account] <= options_.logged_per_minute;
}

void WebhookProgress::note(PredictionId id, const Running& at, unsigned sent,
                           const std::string& webhook_id, WebhookReceipt receipt) {
  if (!may_note(at)) return;
  store::WebhookSettlement item;
  item.delivery.emplace();
  item.delivery->id = webhook_id;
  item.delivery->account = at.account;
  item.delivery->prediction = id;
  item.delivery->event = (sent & kOutputBit) != 0 ? WebhookEvent::kOutput : WebhookEvent::kLogs;
  item.delivery->url = at.url;
  item.delivery->state =
      receipt.status.ok() ? store::DeliveryState::kDelivered : store::DeliveryState::kFailed;
  item.attempt = std::move(receipt.attempt);
  parts_.ledger.note(std::move(item));
}

}  // namespace mimeo::control
