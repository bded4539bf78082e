#include "control-plane/webhooks/courier.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "control-plane/strings.h"
#include "control-plane/webhooks/signature.h"

namespace mimeo::control {
namespace {

namespace asio = boost::asio;

constexpr std::chrono::seconds kSecretAge{10};
constexpr std::size_t kRememberedSecrets = 10'000;
constexpr Bytes kMaxResponse = 4_KiB;
constexpr std::size_t kLoggedFields = 50;
constexpr std::size_t kLoggedField = 500;     // Bytes of a name, and of a value.
constexpr std::size_t kLoggedHeaders = 8192;  // Bytes of all of them.

// The first fields, within bounds. Of those with one name the values are joined.
std::string headers_json(const http::Headers& headers) {
  nlohmann::ordered_json object = nlohmann::ordered_json::object();
  std::size_t fields = 0;
  std::size_t bytes = 0;
  for (const auto& [name, value] : headers.fields()) {
    const std::string key = name.substr(0, kLoggedField);
    const std::string shown = value.substr(0, kLoggedField);
    bytes += key.size() + shown.size();
    if (++fields > kLoggedFields || bytes > kLoggedHeaders) break;
    const auto [at, is_new] = object.emplace(key, shown);
    if (!is_new) at->get_ref<std::string&>().append(", ").append(shown);
  }
  return object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

const char* meaning_of(const Status& failure) {
  if (absl::IsUnavailable(failure) || absl::IsDeadlineExceeded(failure)) return "no answer: ";
  if (absl::IsResourceExhausted(failure)) return "no answer that can be read: ";
  if (absl::IsCancelled(failure)) return "sent, but the answer was not waited for: ";
  return "not sent: ";
}

// What the answer, or the lack of one, means.
void judge(const Result<http::Response>& response, WebhookReceipt& receipt) {
  if (!response.ok()) {
    receipt.status = response.status();
    const bool is_down =
        absl::IsUnavailable(receipt.status) || absl::IsDeadlineExceeded(receipt.status);
    if (is_down) receipt.health = HostHealth::kDown;
    if (absl::IsResourceExhausted(receipt.status)) receipt.health = HostHealth::kUp;
    receipt.attempt.error =
        concat(meaning_of(receipt.status), std::string(receipt.status.message()));
    return;
  }
  const int code = response->status;
  receipt.attempt.response_status = code;
  receipt.attempt.response_headers = headers_json(response->headers);
  receipt.attempt.response_body = response->body;
  // A gateway speaks for a host that does not answer.
  const bool is_down = code >= 502 && code <= 504;
  receipt.health = is_down ? HostHealth::kDown : HostHealth::kUp;
  if (code >= 200 && code <= 299) return;
  receipt.attempt.error =
      concat("the receiver answered ", code, code / 100 == 3 ? "; redirects are not followed" : "");
  receipt.status = absl::UnavailableError(receipt.attempt.error);
}

}  // namespace

// One request, on a thread of the pool: bodies may be large, answers are what others like. Owns
// what it uses, as whoever waits for it may be gone.
struct WebhookCourier::Errand {
  decltype(CourierParts::send) send;
  const Clock& clock;
  std::vector<std::string> secrets;
  Webhook webhook;
  std::stop_token stop;

  WebhookReceipt operator()() {
    WebhookReceipt receipt;
    // Signed when it leaves: receivers refuse old timestamps.
    receipt.attempt.at = clock.now();
    Result<std::string> signature =
        sign_webhook(secrets, webhook.id, receipt.attempt.at, webhook.body);
    if (!signature.ok()) {
      receipt.status = signature.status();
      receipt.attempt.error = concat("not sent: ", std::string(signature.status().message()));
      return receipt;
    }
    http::OutboundRequest request;
    request.method = "POST";
    request.url = std::move(webhook.url);
    request.headers = webhook_headers(webhook.id, receipt.attempt.at);
    receipt.attempt.request_headers = headers_json(request.headers);
    receipt.attempt.request_body = webhook.body.substr(0, webhook.logged_bytes);
    receipt.attempt.request_bytes = static_cast<std::int64_t>(webhook.body.size());
    request.headers.add("webhook-signature", *std::move(signature));
    request.body = std::move(webhook.body);
    request.timeout = webhook.timeout;
    request.max_response = kMaxResponse;
    request.oversize = http::Oversize::kIsCutOff;
    request.stop = std::move(stop);
    const SteadyTime begin = clock.steady();
    const Result<http::Response> response = send(request);
    receipt.attempt.took =
        std::chrono::duration_cast<std::chrono::milliseconds>(clock.steady() - begin);
    judge(response, receipt);
    return receipt;
  }
};

WebhookCourier::WebhookCourier(CourierParts parts)
    : parts_(std::move(parts)),
      delivered_(parts_.metrics.counter("mimeo_control_plane_webhooks_total",
                                        "Webhook requests by outcome.",
                                        {{"outcome", "delivered"}})),
      failed_(parts_.metrics.counter("mimeo_control_plane_webhooks_total",
                                     "Webhook requests by outcome.", {{"outcome", "failed"}})),
      seconds_(parts_.metrics.histogram("mimeo_control_plane_webhook_seconds",
                                        "One webhook request.")) {}

asio::awaitable<WebhookReceipt> WebhookCourier::deliver(Webhook webhook) {
  Result<std::vector<std::string>> secrets = co_await secrets_of(webhook.account);
  if (!secrets.ok()) {
    WebhookReceipt receipt;
    receipt.status = secrets.status();
    receipt.attempt.at = parts_.clock.now();
    receipt.attempt.error = "not sent: the account's secret cannot be read";
    co_return receipt;
  }
  Errand errand{parts_.send, parts_.clock, *std::move(secrets), std::move(webhook),
                stop_.get_token()};
  WebhookReceipt receipt = co_await parts_.send_pool.run(std::move(errand));
  if (receipt.attempt.request_bytes > 0) {
    seconds_.Observe(std::chrono::duration<double>(receipt.attempt.took).count());
    (receipt.status.ok() ? delivered_ : failed_).Increment();
  }
  co_return receipt;
}

asio::awaitable<Result<std::vector<std::string>>> WebhookCourier::secrets_of(AccountId account) {
  const auto known = secrets_.find(account);
  if (known != secrets_.end() && known->second.second > parts_.clock.steady()) {
    co_return known->second.first;
  }
  auto read = [this, account, now = parts_.clock.now()] {
    return parts_.log.get_webhook_secrets(account, now);
  };
  const Result<store::WebhookSecrets> found = co_await parts_.read_pool.run(std::move(read));
  if (!found.ok()) co_return found.status();
  std::vector<std::string> secrets = {found->current};
  if (!found->previous.empty()) secrets.push_back(found->previous);
  if (secrets_.size() > kRememberedSecrets) secrets_.clear();
  secrets_[account] = std::pair(secrets, parts_.clock.steady() + kSecretAge);
  co_return secrets;
}

}  // namespace mimeo::control
