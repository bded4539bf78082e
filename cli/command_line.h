// The `mimeo` command: what operators do from a shell. Each *_commands.cc adds its commands here;
// the work is done by the stores and by common/crypto.
//
// Starting and stopping everything on one machine is not here: deploy/local does that.

#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/random.h"
#include "common/base/status.h"
#include "common/store/account_limits.h"
#include "common/store/accounts.h"
#include "common/store/catalog.h"
#include "common/store/discovery.h"
#include "common/store/fleet.h"
#include "common/store/predictions.h"
#include "common/store/retention.h"
#include "common/store/usage.h"
#include "common/store/webhook_log.h"

namespace CLI {
class App;
}

namespace mimeo::cli {

// The stores that commands use. `keep_alive` owns what the references refer to.
struct Stores {
  std::shared_ptr<void> keep_alive;
  store::PredictionStore& predictions;
  store::CatalogStore& catalog;
  store::FleetStore& fleet;
  store::UsageStore& usage;
  store::MaintenanceStore& maintenance;
  store::AccountsStore& accounts;
  store::RetentionStore& retention;
  store::DiscoveryStore& discovery;
  store::AccountLimitsStore& limits;
  store::WebhookLogStore& webhooks;
};

// Everything that comes from outside; main.cc gives the real things, tests give others.
struct Surroundings {
  const Clock& clock;
  Random& random;
  std::ostream& out;    // Results only: scripts read it.
  std::ostream& error;  // Everything for people.
  std::function<Stores(const std::string& database)> open_stores;
  std::string operator_name = "unknown";  // Who runs it, for the audit log.
};

// One call of the program. Commands are registered once and hold references to it.
class CommandLine {
 public:
  explicit CommandLine(Surroundings surroundings);
  ~CommandLine();

  // 0 done, 1 failed (the reason is the last line on `error`), 2 wrong usage.
  int run(std::vector<std::string> arguments);

  // Every command that does something, in words: "account create". For tests.
  [[nodiscard]] std::vector<std::string> commands() const;

  // For the commands.
  // `action` runs when `command` was chosen.
  void on(CLI::App& command, std::function<Status()> action);
  // The same with --json: prints what `list` returns, an array of flat objects, as a table or as
  // JSON.
  void on_list(CLI::App& command, std::function<Result<nlohmann::ordered_json>()> list);
  // kInvalidArgument when no database is set anywhere.
  Result<Stores> stores();
  Result<std::string> database();
  [[nodiscard]] const Surroundings& surroundings() const { return surroundings_; }

 private:
  Surroundings surroundings_;
  std::unique_ptr<CLI::App> app_;
  std::string database_;
  std::string config_file_;
  std::function<Status()> chosen_;
};

// Each file's commands.
void add_setup_commands(CLI::App& app, CommandLine& line);          // migrate, registry-keys
void add_account_commands(CLI::App& app, CommandLine& line);        // account, worker-token
void add_retention_commands(CLI::App& account, CommandLine& line);  // account retention
void add_member_commands(CLI::App& app, CommandLine& line);         // user, org
void add_token_commands(CLI::App& app, CommandLine& line);          // token, audit
void add_catalog_commands(CLI::App& app, CommandLine& line);        // hardware, model, version
void add_usage_commands(CLI::App& app, CommandLine& line);          // usage, spend-limit
// collection; also `model set-official` and `account limits`: after the commands that it extends.
void add_discovery_commands(CLI::App& app, CommandLine& line);
void add_state_commands(CLI::App& app, CommandLine& line);  // prediction, workers, instances, cells
void add_webhook_commands(CLI::App& app, CommandLine& line);  // webhooks

}  // namespace mimeo::cli
