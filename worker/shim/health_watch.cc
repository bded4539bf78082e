#include "worker/shim/health_watch.h"

#include <absl/strings/str_cat.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "common/async/task_group.h"
#include "worker/cog/container_log.h"

namespace mimeo::worker {

using boost::asio::awaitable;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kWhileStarting{15};
constexpr milliseconds kWhileIdle{2'000};
constexpr milliseconds kWhileWorking{5'000};
constexpr milliseconds kWhileDoubtful{500};
constexpr milliseconds kAnswerTimeout{5'000};
constexpr milliseconds kSchemaPause{10};
constexpr int kSchemaTries = 20;
constexpr std::size_t kFailureLog = 8 * 1024;

bool has_input(const std::string& openapi, cog::RunKind kind) {
  const auto document = nlohmann::json::parse(openapi, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) return false;
  const auto schemas = document.value("/components/schemas"_json_pointer, nlohmann::json());
  return schemas.is_object() && (schemas.contains("Input") || (kind == cog::RunKind::kTraining &&
                                                               schemas.contains("TrainingInput")));
}

}  // namespace

HealthWatch::HealthWatch(boost::asio::any_io_executor executor, HealthWatchOptions options,
                         cog::Connections& connections, BlockingPool& pool, const Clock& clock,
                         HealthWatchCallbacks callbacks)
    : options_(std::move(options)),
      connections_(connections),
      pool_(pool),
      clock_(clock),
      callbacks_(std::move(callbacks)),
      state_(options_.limits, clock.steady()),
      poked_(std::move(executor)) {}

awaitable<void> HealthWatch::run() {
  while (!is_final()) {
    Result<cog::HealthReport> report = co_await ask(kAnswerTimeout);
    if (is_final()) co_return;
    const bool was_starting = judgement().verdict == Verdict::kStarting;
    const std::uint32_t in_flight = callbacks_.in_flight();
    state_.observe(clock_.steady(), report, in_flight, callbacks_.idle_since());
    const Verdict verdict = judgement().verdict;
    if (was_starting && verdict == Verdict::kReady) {
      co_await learn_facts(*std::move(report));
      callbacks_.on_change();
    } else if (is_final()) {
      co_await add_log_tail();
      callbacks_.on_change();
      co_return;
    }
    poked_.reset();
    (void)co_await poked_.wait_for(pause());
  }
}

bool HealthWatch::is_final() const {
  return judgement().verdict == Verdict::kSetupFailed || judgement().verdict == Verdict::kBroken;
}

milliseconds HealthWatch::pause() const {
  if (judgement().verdict == Verdict::kStarting) return kWhileStarting;
  if (judgement().is_doubtful) return kWhileDoubtful;
  return callbacks_.in_flight() > 0 ? kWhileWorking : kWhileIdle;
}

void HealthWatch::container_gone(const std::string& reason) {
  if (is_final()) return;
  state_.container_gone(reason);
  poked_.set();
  callbacks_.on_change();
}

awaitable<Result<cog::HealthReport>> HealthWatch::ask(milliseconds timeout) {
  http::ClientRequest request;
  request.target = "/health-check";
  request.timeout = timeout;
  const Result<http::Response> response = co_await connections_.exchange(std::move(request));
  if (!response.ok()) co_return response.status();
  co_return cog::parse_health(response->status, response->body);
}

awaitable<void> HealthWatch::learn_facts(cog::HealthReport report) {
  facts_.generation = report.generation;
  facts_.version = report.version;
  facts_.kind = options_.kind;
  facts_.slots = options_.slots;
  std::string served;
  // coglet stores its schema an instant after it says READY; the others have it or never will.
  const bool may_be_late = report.generation == cog::Generation::kCoglet && !report.is_setup_over;
  for (int i = 0; i < (may_be_late ? kSchemaTries : 1); ++i) {
    http::ClientRequest request;
    request.target = "/openapi.json";
    request.timeout = kAnswerTimeout;
    Result<http::Response> response = co_await connections_.exchange(std::move(request));
    if (response.ok() && response->status == 200) {
      served = std::move(response->body);
      break;
    }
    if (!co_await sleep_for(kSchemaPause)) co_return;
  }
  facts_.has_validation = has_input(served, options_.kind);
  const std::string& known = options_.openapi_schema.empty() ? served : options_.openapi_schema;
  facts_.schema = cog::ModelSchema::parse(known, options_.kind);
}

awaitable<void> HealthWatch::add_log_tail() {
  if (options_.log_path.empty()) co_return;
  auto read = [path = options_.log_path] { return cog::log_tail(path, kFailureLog); };
  log_tail_ = co_await pool_.run(std::move(read));
}

std::string HealthWatch::detail() const {
  if (log_tail_.empty()) return judgement().detail;
  return absl::StrCat(judgement().detail, "\n", log_tail_);
}

}  // namespace mimeo::worker
