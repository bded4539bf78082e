// Stands in for a container runtime: a container is a fake Cog server in this process, its end is
// what the test says. For tests of everything around containers, without Docker and without root.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/async/signal_event.h"
#include "worker/cog/fake_cog_server.h"
#include "worker/container/runtime.h"

namespace mimeo::worker {

class FakeRuntime final : public Runtime {
 public:
  struct Container {
    ContainerSpec spec;
    std::unique_ptr<cog::FakeCogServer> server;
    std::shared_ptr<SignalEvent> ended;
    std::optional<ContainerExit> exit;
    bool is_started = false;
  };

  explicit FakeRuntime(boost::asio::any_io_executor executor) : executor_(std::move(executor)) {}

  [[nodiscard]] std::string_view name() const override { return "fake"; }
  boost::asio::awaitable<Status> ping() override { co_return absl::OkStatus(); }

  boost::asio::awaitable<Status> pull(ImageName image, std::string token,
                                      PullObserver observer) override {
    tokens.push_back(token);
    if (observer) observer(PullProgress{40, 100, false});
    if (!pull_error.ok()) co_return pull_error;
    pulled.push_back({std::move(image), 1_MiB});
    co_return absl::OkStatus();
  }
  boost::asio::awaitable<Result<std::vector<LocalImage>>> images() override { co_return pulled; }
  boost::asio::awaitable<Status> remove_image(ImageName image) override {
    std::erase_if(pulled, [&](const LocalImage& local) { return local.name == image; });
    removed_images.push_back(std::move(image));
    co_return absl::OkStatus();
  }

  boost::asio::awaitable<Result<std::string>> create(ContainerSpec spec) override {
    const std::string id = "fake-" + spec.instance.str();
    Container& container = containers[id];
    container.spec = std::move(spec);
    container.ended = std::make_shared<SignalEvent>(executor_);
    co_return id;
  }
  boost::asio::awaitable<Result<ContainerInfo>> start(std::string id) override {
    Container& container = containers.at(id);
    if (!start_error.ok()) co_return start_error;
    container.server = std::make_unique<cog::FakeCogServer>(cog_options);
    container.is_started = true;
    co_return describe(id);
  }
  boost::asio::awaitable<Result<ContainerInfo>> inspect(std::string id) override {
    if (!containers.contains(id)) co_return absl::NotFoundError("no such container");
    co_return describe(id);
  }
  boost::asio::awaitable<Result<std::vector<ContainerInfo>>> list() override {
    std::vector<ContainerInfo> out;
    for (const auto& [id, container] : containers) out.push_back(describe(id));
    co_return out;
  }
  boost::asio::awaitable<Result<ContainerExit>> wait(std::string id) override {
    const auto it = containers.find(id);
    if (it == containers.end()) co_return absl::NotFoundError("no such container");
    const auto ended = it->second.ended;
    const bool has_ended = co_await ended->wait();
    if (!has_ended) co_return absl::CancelledError("cancelled");
    const auto again = containers.find(id);
    if (again == containers.end()) co_return absl::NotFoundError("removed");
    co_return *again->second.exit;
  }
  boost::asio::awaitable<Status> kill(std::string id) override {
    end(id, ContainerExit{137, false, {}});
    co_return absl::OkStatus();
  }
  boost::asio::awaitable<Status> remove(std::string id) override {
    end(id, ContainerExit{137, false, {}});
    containers.erase(id);
    co_return absl::OkStatus();
  }
  boost::asio::awaitable<Result<std::string>> log_tail(std::string /*id*/,
                                                       std::size_t /*lines*/) override {
    co_return std::string("the last words\n");
  }
  boost::asio::awaitable<void> stop() override { co_return; }

  // The container ends as if by itself.
  void end(const std::string& id, ContainerExit exit) {
    const auto it = containers.find(id);
    if (it == containers.end() || it->second.exit) return;
    it->second.exit = std::move(exit);
    if (it->second.server) it->second.server->die();
    it->second.ended->set();
  }
  [[nodiscard]] Container& only() { return containers.begin()->second; }
  [[nodiscard]] const std::string& only_id() const { return containers.begin()->first; }

  cog::FakeCogOptions cog_options;
  Status pull_error;
  Status start_error;
  std::vector<LocalImage> pulled;
  std::vector<ImageName> removed_images;
  std::vector<std::string> tokens;
  std::map<std::string, Container> containers;

 private:
  [[nodiscard]] ContainerInfo describe(const std::string& id) const {
    const Container& container = containers.at(id);
    ContainerInfo info;
    info.id = id;
    info.instance = container.spec.instance;
    info.exit = container.exit;
    if (container.exit) {
      info.phase = ContainerPhase::kExited;
    } else if (container.is_started) {
      info.phase = ContainerPhase::kRunning;
      info.server_address = "127.0.0.1:" + std::to_string(container.server->port());
    }
    return info;
  }

  boost::asio::any_io_executor executor_;
};

}  // namespace mimeo::worker
