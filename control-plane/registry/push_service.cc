#include "control-plane/registry/push_service.h"

#include <memory>
#include <utility>

#include "common/crypto/crypto.h"
#include "common/telemetry/log.h"

namespace mimeo::control {

namespace asio = boost::asio;

namespace {

constexpr Bytes kMaxEvents = 8_MiB;  // With the references of images of many layers.
constexpr std::size_t kMaxSettled = 200'000;

std::string_view name_of(PushOutcome outcome) {
  switch (outcome) {
    case PushOutcome::kMade:
      return "made";
    case PushOutcome::kKnown:
      return "known";
    case PushOutcome::kRefused:
      return "refused";
    case PushOutcome::kPassedBy:
      return "passed_by";
  }
  return "unknown";
}

}  // namespace

PushService::PushService(asio::any_io_executor executor, Parts parts, PushServiceOptions options)
    : parts_(parts),
      options_(std::move(options)),
      outbound_(http::any_address()),
      client_(outbound_, options_.registry_url,
              [this](std::string_view repository) -> Result<std::string> {
                if (repository.empty()) return parts_.tokens.reader_token({});
                return parts_.tokens.pull_token(repository);
              }),
      maker_(client_, parts_.catalog, parts_.discovery, parts_.accounts, parts_.clock,
             options_.default_sku),
      tasks_(std::move(executor)) {}

asio::awaitable<void> PushService::handle_events(http::Exchange& exchange) {
  http::Response response;
  const std::string expected = "Bearer " + options_.hook_secret;
  if (options_.hook_secret.empty() ||
      !crypto::equal(exchange.head().headers.get("Authorization"), expected)) {
    response.status = 401;
    co_await exchange.respond(std::move(response));
    co_return;
  }
  auto body = co_await exchange.read_body(kMaxEvents);
  if (!body.ok()) {
    response.status = absl::IsResourceExhausted(body.status()) ? 413 : 400;
    co_await exchange.respond(std::move(response));
    co_return;
  }
  auto work = [this, text = std::move(*body)] { return handle(text); };
  const Status status = co_await parts_.pool.run(std::move(work));
  if (!status.ok()) {
    log::warn("notification of the registry not settled error=\"{}\"",
              std::string(status.message()));
    response.status = absl::IsInvalidArgument(status) ? 400 : 503;
  }
  co_await exchange.respond(std::move(response));
}

Status PushService::handle(const std::string& body) {
  MIMEO_ASSIGN_OR_RETURN(const auto pushes, parse_push_events(body));
  Status first;
  int made = 0;
  for (const Push& push : pushes) {
    const Status status = settle(push, PushOrigin::kNotified, made);
    if (first.ok()) first = status;
  }
  return first;
}

Status PushService::settle(const Push& push, PushOrigin origin, int& made) {
  auto outcome = maker_.make(push, origin);
  if (!outcome.ok()) {
    parts_.metrics
        .counter("mimeo_control_registry_pushes_total", "Pushes looked at, by outcome.",
                 {{"outcome", "error"}})
        .Increment();
    const Status status = with_context(outcome.status(), "push to " + push.repository);
    return absl::IsInvalidArgument(status) ? absl::InternalError(status.message()) : status;
  }
  parts_.metrics
      .counter("mimeo_control_registry_pushes_total", "Pushes looked at, by outcome.",
               {{"outcome", std::string(name_of(*outcome))}})
      .Increment();
  if (*outcome == PushOutcome::kMade || *outcome == PushOutcome::kRefused) {
    if (*outcome == PushOutcome::kMade) ++made;
    log::info("push became a version repository={} digest={} tag={} outcome={} by={}",
              push.repository, push.digest, push.tag, name_of(*outcome), push.pushed_by);
  }
  const std::scoped_lock lock(mutex_);
  if (settled_.size() >= kMaxSettled) settled_.clear();  // Only costs looking again.
  settled_.insert(push.repository + "@" + push.digest);
  return absl::OkStatus();
}

Status PushService::reconcile_repository(const std::string& repository, int& made) {
  const auto tags = client_.list_tags(repository);
  if (absl::IsNotFound(tags.status())) return absl::OkStatus();  // Gone since it was listed.
  MIMEO_RETURN_IF_ERROR(with_context(tags.status(), "tags of " + repository));
  Status first;
  for (const std::string& tag : *tags) {
    if (is_stopping_) return absl::CancelledError("stopping");
    if (!can_make_version(tag)) continue;
    const auto digest = client_.get_digest(repository, tag);
    if (absl::IsNotFound(digest.status())) continue;
    if (!digest.ok()) {
      if (first.ok()) first = with_context(digest.status(), repository + ":" + tag);
      continue;
    }
    {
      const std::scoped_lock lock(mutex_);
      if (settled_.count(repository + "@" + *digest) > 0) continue;
    }
    const auto known = maker_.is_known(repository, *digest);
    if (known.ok() && *known) {
      const std::scoped_lock lock(mutex_);
      settled_.insert(repository + "@" + *digest);
      continue;
    }
    Push push;
    push.repository = repository;
    push.digest = *digest;
    push.tag = tag;
    const Status status = settle(push, PushOrigin::kReconciled, made);
    if (first.ok()) first = status;
  }
  return first;
}

Result<int> PushService::reconcile() {
  MIMEO_ASSIGN_OR_RETURN(const auto repositories, client_.list_repositories());
  int made = 0;
  Status first;
  for (const std::string& repository : repositories) {
    if (is_stopping_) return absl::CancelledError("stopping");
    const Status status = reconcile_repository(repository, made);
    if (first.ok()) first = status;
  }
  MIMEO_RETURN_IF_ERROR(first);
  return made;
}

void PushService::start() { tasks_.spawn("reconcile the registry", reconcile_forever()); }

asio::awaitable<Status> PushService::stop(std::chrono::milliseconds limit) {
  is_stopping_ = true;
  tasks_.cancel();
  const Status ended = co_await tasks_.wait(limit);
  co_return ended;
}

asio::awaitable<void> PushService::reconcile_forever() {
  bool was_ok = true;
  while (true) {
    auto work = [this] { return reconcile(); };
    const auto made = co_await parts_.pool.run(std::move(work));
    if (is_stopping_) co_return;
    if (!made.ok() && was_ok) {
      log::warn("the registry cannot be looked through error=\"{}\"",
                std::string(made.status().message()));
    } else if (made.ok() && !was_ok) {
      log::info("the registry answers again");
    }
    if (made.ok() && *made > 0) log::info("pushes found that were not notified count={}", *made);
    was_ok = made.ok();
    const auto pause = was_ok ? options_.reconcile_every : options_.retry_after;
    const bool goes_on = co_await sleep_for(pause);
    if (!goes_on) co_return;
  }
}

}  // namespace mimeo::control
