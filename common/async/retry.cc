#include "common/async/retry.h"

#include <algorithm>

#include "common/async/task_group.h"
#include "common/base/clock.h"

namespace mimeo {

std::chrono::milliseconds backoff(const RetryPolicyOptions& options, int attempt, Random& random) {
  std::int64_t longest = std::max<std::int64_t>(options.first.count(), 0);
  for (int i = 0; i < attempt && longest < options.longest.count(); ++i) longest *= 2;
  longest = std::min<std::int64_t>(longest, options.longest.count());
  return std::chrono::milliseconds(random.below(static_cast<std::uint64_t>(longest) + 1));
}

boost::asio::awaitable<Status> retry(RetryPolicyOptions options, Random* random,
                                     std::function<boost::asio::awaitable<Status>()> operation,
                                     std::function<std::chrono::milliseconds()> waited) {
  const SystemClock clock;
  const SteadyTime end = clock.steady() + options.total;
  for (int attempt = 0;; ++attempt) {
    const Status status = co_await operation();
    if (!absl::IsUnavailable(status) && !absl::IsAborted(status)) co_return status;
    const auto pause = backoff(options, attempt, *random);
    const auto idle = waited ? waited() : std::chrono::milliseconds{0};
    if (clock.steady() + pause >= end + idle) co_return status;
    if (!co_await sleep_for(pause)) co_return absl::CancelledError("cancelled while retrying");
  }
}

}  // namespace mimeo
