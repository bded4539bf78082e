// Stands in for SchedulerClient: the test decides what a reserve answers and sees what was told.

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "control-plane/scheduler_client.h"

namespace mimeo::control {

class FakeScheduler final : public SchedulerClient {
 public:
  // The answer to every reserve(); nullopt = refused, or no link.
  std::optional<store::Grant> grant;
  // "granted <id>", "dropped <grant>", "queued <id>", "canceled <id> queued|running", in order.
  std::vector<std::string> told;
  std::vector<Dispatch> dispatches;
  std::vector<std::string> inputs;

  boost::asio::awaitable<std::optional<HeldSlot>> reserve(ReserveRequest request,
                                                          std::chrono::milliseconds) override {
    reserves.push_back(request);
    if (!grant) co_return std::nullopt;
    HeldSlot slot;
    slot.link = 1;
    slot.grant_id = ++last_grant_;
    slot.grant = *grant;
    slot.hold = std::chrono::seconds(2);
    co_return slot;
  }
  void granted(const HeldSlot&, const Dispatch& dispatch, std::string input) override {
    told.push_back("granted " + dispatch.id.str());
    dispatches.push_back(dispatch);
    inputs.push_back(std::move(input));
  }
  void dropped(const HeldSlot& slot) override {
    told.push_back("dropped " + std::to_string(slot.grant_id));
  }
  void queued(const Dispatch& dispatch) override {
    told.push_back("queued " + dispatch.id.str());
    dispatches.push_back(dispatch);
  }
  void canceled(PredictionId id, TargetId, ActiveStates before) override {
    const bool was_queued = before.bits == kOnlyQueued.bits;
    told.push_back("canceled " + id.str() + (was_queued ? " queued" : " running"));
  }
  void target_changed(TargetId) override {}
  boost::asio::awaitable<std::optional<TargetSnapshot>> snapshot(
      TargetId, std::chrono::milliseconds) override {
    co_return std::nullopt;
  }

  std::vector<ReserveRequest> reserves;

 private:
  std::uint64_t last_grant_ = 0;
};

}  // namespace mimeo::control
