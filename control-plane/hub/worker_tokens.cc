#include "control-plane/hub/worker_tokens.h"

#include "common/crypto/crypto.h"

namespace mimeo::control {
namespace {

constexpr std::chrono::seconds kRemember{60};
constexpr std::size_t kMaxRemembered = 10'000;

}  // namespace

Status WorkerTokens::check_known(std::string_view token) {
  const std::string hash = crypto::sha256(token);
  const std::lock_guard lock(mutex_);
  const auto it = good_until_.find(hash);
  if (it != good_until_.end() && it->second > clock_.steady()) return absl::OkStatus();
  return absl::NotFoundError("not checked lately");
}

Status WorkerTokens::check(std::string_view token) {
  if (token.empty()) return absl::UnauthenticatedError("a worker's token is missing");
  if (check_known(token).ok()) return absl::OkStatus();
  const std::string hash = crypto::sha256(token);
  const Result<CellId> cell = fleet_.check_worker_token(hash);
  if (!cell.ok()) return with_context(cell.status(), "checking a worker's token");
  const std::lock_guard lock(mutex_);
  if (good_until_.size() >= kMaxRemembered) good_until_.clear();
  good_until_[hash] = clock_.steady() + kRemember;
  return absl::OkStatus();
}

}  // namespace mimeo::control
