#include "control-plane/http/audit_trail.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "common/telemetry/log.h"

namespace mimeo::control {
namespace {

constexpr std::size_t kMostFields = 50;
constexpr std::size_t kLongestField = 100;
constexpr std::size_t kLongestTarget = 500;

std::string target_of(const Call& call) {
  if (!call.audit.target.empty()) return call.audit.target.substr(0, kLongestTarget);
  std::string target;
  for (const std::string& param : call.params) {
    if (!target.empty()) target.push_back('/');
    target.append(param);
  }
  return target.substr(0, kLongestTarget);
}

// Which fields the body had. Never their values: nobody looks whether one is a secret.
std::string fields_of(const std::string& body) {
  nlohmann::json details = nlohmann::json::object();
  const auto parsed = nlohmann::json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (parsed.is_object()) {
    nlohmann::json names = nlohmann::json::array();
    for (const auto& [name, value] : parsed.items()) {
      if (names.size() < kMostFields) names.push_back(name.substr(0, kLongestField));
    }
    details["fields"] = std::move(names);
  }
  return details.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::optional<store::AuditOutcome> outcome_of(int status) {
  if (status < 400) return store::AuditOutcome::kDone;
  if (status == 403) return store::AuditOutcome::kRefused;
  if (status >= 500) return store::AuditOutcome::kFailed;
  return std::nullopt;
}

}  // namespace

store::AuditEntry entry_of(const Call& call, std::string_view action, WallTime now) {
  const store::TokenOwner& caller = *call.caller;
  store::AuditEntry entry;
  entry.at = now;
  entry.account = call.audit.account != 0 ? call.audit.account : caller.account.id;
  entry.action = action;
  entry.target = target_of(call);
  entry.actor = caller.token.creator.empty() ? caller.account.username : caller.token.creator;
  entry.actor_account = caller.account.id;
  const bool is_user = caller.account.type == store::AccountType::kUser;
  entry.actor_user = is_user ? caller.account.id : caller.token.created_by;
  entry.token = caller.token.id;
  entry.address = call.client;
  entry.request_id = call.request_id;
  entry.details = call.audit.details.empty() ? fields_of(call.body) : call.audit.details;
  return entry;
}

AuditTrail::AuditTrail(store::AccountsStore& accounts, BlockingPool& pool, const Clock& clock,
                       Metrics& metrics)
    : accounts_(accounts),
      pool_(pool),
      clock_(clock),
      lost_(metrics.counter("mimeo_control_audit_entries_lost_total",
                            "Entries of the audit log that are in the process's log only", {})) {}

boost::asio::awaitable<void> AuditTrail::note(const Call* call, const Route* route, int status) {
  const auto outcome = outcome_of(status);
  if (route->action.empty() || call->caller == nullptr || call->audit.is_written || !outcome) {
    co_return;
  }
  store::AuditEntry entry = entry_of(*call, route->action, clock_.now());
  entry.outcome = *outcome;
  auto write = [accounts = &accounts_, entry] { return accounts->append_audit(entry); };
  const Status written = co_await pool_.run(std::move(write));
  if (written.ok()) co_return;
  lost_.Increment();
  log::error(
      "audit entry not written action={} target={} outcome={} actor={} token={} address={} "
      "request={} details={} error={}",
      entry.action, entry.target, static_cast<int>(entry.outcome), entry.actor, entry.token,
      entry.address, entry.request_id, entry.details, written.ToString());
}

}  // namespace mimeo::control
