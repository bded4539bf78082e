#include "control-plane/webhook_courier.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "control-plane/strings.h"
#include "control-plane/webhook_signature.h"

namespace mimeo::control {
namespace {

namespace asio = boost::asio;

constexpr std::chrono::seconds kSecretAge{10};
constexpr std::size_t kRememberedSecrets = 10'000;
constexpr Bytes kMaxResponse = 4_KiB;
constexpr std::size_t kLoggedFields = 50;
constexpr std::size_t kLoggedValue = 500;  // Bytes of one field.

std::string headers_json(const http::Headers& headers) {
  nlohmann::ordered_json object = nlohmann::ordered_json::object();
  for (const auto& [name, value] : headers.fields()) {
    if (object.size() >= kLoggedFields) break;
    const std::string shown = value.substr(0, kLoggedValue);
    const std::string key = name.substr(0, kLoggedValue);
    object[key] = object.contains(key) ? object[key].get<std::string>() + ", " + shown : shown;
  }
  return object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

// What the answer, or the lack of one, means.
void judge(const Result<http::Response>& response, WebhookReceipt& receipt) {
  if (!response.ok()) {
    receipt.status = response.status();
    const bool is_down =
        absl::IsUnavailable(receipt.status) || absl::IsDeadlineExceeded(receipt.status);
    receipt.health = is_down ? HostHealth::kDown : HostHealth::kUnknown;
    const char* what = is_down ? "no answer: " : "not sent: ";
    receipt.attempt.error = concat(what, std::string(receipt.status.message()));
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
  WebhookReceipt receipt;
  receipt.attempt.at = parts_.clock.now();
  const Result<std::vector<std::string>> secrets = co_await secrets_of(webhook.account);
  if (!secrets.ok()) {
    receipt.status = secrets.status();
    receipt.attempt.error = "not sent: the account's secret cannot be read";
    co_return receipt;
  }
  // Signed when it leaves: receivers refuse old timestamps.
  const WallTime now = parts_.clock.now();
  Result<std::string> signature = sign_webhook(*secrets, webhook.id, now, webhook.body);
  if (!signature.ok()) {
    receipt.status = signature.status();
    receipt.attempt.error = concat("not sent: ", std::string(signature.status().message()));
    co_return receipt;
  }
  http::OutboundRequest request;
  request.method = "POST";
  request.url = std::move(webhook.url);
  request.headers = webhook_headers(webhook.id, now);
  receipt.attempt.request_headers = headers_json(request.headers);
  receipt.attempt.request_body = webhook.body.substr(0, webhook.logged_bytes);
  receipt.attempt.request_bytes = static_cast<std::int64_t>(webhook.body.size());
  request.headers.add("webhook-signature", *std::move(signature));
  request.body = std::move(webhook.body);
  request.timeout = webhook.timeout;
  request.max_response = kMaxResponse;
  request.oversize = http::Oversize::kIsCutOff;
  const SteadyTime begin = parts_.clock.steady();
  auto work = [this, request = std::move(request)] { return parts_.send(request); };
  const Result<http::Response> response = co_await parts_.send_pool.run(std::move(work));
  const auto took = parts_.clock.steady() - begin;
  receipt.attempt.took = std::chrono::duration_cast<std::chrono::milliseconds>(took);
  seconds_.Observe(std::chrono::duration<double>(took).count());
  judge(response, receipt);
  (receipt.status.ok() ? delivered_ : failed_).Increment();
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
