// Servers below 0.7: one synchronous POST at a time, no ids, no cancel, no logs before 0.5.
#include <utility>

#include "worker/cog/cog_run.h"

namespace mimeo::worker::cog {
namespace {

class LegacyRun final : public CogRun {
 public:
  LegacyRun(RunParts parts, ServerFacts facts, RunRequest request, RunEvents& events)
      : CogRun(std::move(parts), std::move(facts), std::move(request), events) {}

 private:
  boost::asio::awaitable<RunEnd> drive() override {
    http::ClientRequest request = put_request(body_with(""));
    request.method = "POST";
    request.target = base_path();
    Answer answer = co_await send(std::move(request), Reading::kWhole);
    if (answer.end != nullptr) co_return std::move(*answer.end);
    co_return settle(answer.response);
  }
};

}  // namespace

std::shared_ptr<CogRun> make_legacy_run(RunParts parts, ServerFacts facts, RunRequest request,
                                        RunEvents& events) {
  return std::make_shared<LegacyRun>(std::move(parts), std::move(facts), std::move(request),
                                     events);
}

}  // namespace mimeo::worker::cog
