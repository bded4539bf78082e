// Everything that operators change is in the audit log: each command is either tried here, with the
// entry that it makes, or named as one that changes nothing.

#include <gtest/gtest.h>

#include <set>
#include <sstream>

#include "cli/command_line.h"
#include "common/store/memory/memory_discovery.h"
#include "common/store/memory/memory_files.h"
#include "common/store/memory/memory_retention.h"
#include "common/store/memory/memory_usage.h"

namespace mimeo::cli {
namespace {

struct Change {
  std::string command;
  std::vector<std::string> arguments;
  std::string action;
  std::string target;
};

const std::set<std::string> kReads = {
    "account list",     "audit",         "cells",      "collection list",
    "hardware list",    "instances",     "model list", "hardware prices",
    "org list",         "org show",      "token list", "prediction show",
    "spend-limit show", "usage",         "user list",  "user show",
    "version list",     "webhooks list", "workers",
    "migrate",         // What it adds is in migrate_pgtest.cc: it needs a database.
    "registry-keys"};  // Writes files, no database.

// In an order in which each finds what it needs.
const std::vector<Change> kChanges = {
    {"account create", {"plain"}, "user.create", "plain"},
    {"user create", {"ada"}, "user.create", "ada"},
    {"user create", {"bob"}, "user.create", "bob"},
    {"org create", {"corp", "--owner", "ada"}, "organization.create", "corp"},
    {"org add-member", {"corp", "bob"}, "member.set", "corp/bob"},
    {"org set-role", {"corp", "bob", "viewer"}, "member.set", "corp/bob"},
    {"org remove-member", {"corp", "bob"}, "member.remove", "corp/bob"},
    {"org disable", {"corp"}, "organization.disable", "corp"},
    {"org enable", {"corp"}, "organization.enable", "corp"},
    {"user disable", {"bob"}, "user.disable", "bob"},
    {"user enable", {"bob"}, "user.enable", "bob"},
    {"token create", {"ada", "--name", "ci"}, "token.create", "ada/ci"},
    {"token disable", {"TOKEN"}, "token.disable", "ci"},
    {"worker-token create", {"--name", "rack"}, "worker-token.create", "rack"},
    {"hardware set", {"cpu"}, "hardware.set", "cpu"},
    {"spend-limit set", {"ada", "150"}, "spend_limit.set", "ada"},
    {"account retention", {"ada", "--api", "2h"}, "retention.set", "ada"},
    {"account retention", {"--operator", "--web", "30d"}, "retention.set", "every account"},
    {"account limits", {"ada", "--create", "6"}, "limits.set", "ada"},
    {"model set-official", {"ada/m"}, "model.set-official", "ada/m"},
    {"collection create", {"best"}, "collection.create", "best"},
    {"collection update", {"best", "--name", "Best"}, "collection.update", "best"},
    {"collection add", {"best", "ada/m"}, "collection.add", "best"},
    {"collection remove", {"best", "ada/m"}, "collection.remove", "best"},
    {"collection delete", {"best"}, "collection.delete", "best"},
};

class AuditedCommands : public testing::Test {
 protected:
  int run(const Change& change) {
    std::vector<std::string> words = {"--database", "memory"};
    std::istringstream command(change.command);
    for (std::string word; command >> word;) words.push_back(word);
    for (const std::string& argument : change.arguments) {
      words.push_back(argument == "TOKEN" ? std::to_string(token_of_ada()) : argument);
    }
    CommandLine one(surroundings());
    return one.run(std::move(words));
  }
  Surroundings surroundings() {
    return {clock_,
            random_,
            out_,
            error_,
            [this](const std::string&) {
              return Stores{nullptr, store_,     store_,     store_,     usage_, store_,
                            store_,  retention_, discovery_, discovery_, store_};
            },
            "root"};
  }
  std::int64_t token_of_ada() {
    return store_.list_tokens(store_.get_account_by_username("ada")->id)->front().id;
  }
  void add_model_of_ada() {
    const auto ada = store_.get_account_by_username("ada");
    if (!ada.ok() || store_.get_model("ada", "m", 0).ok()) return;
    store::Model model;
    model.owner_id = ada->id;
    model.name = "m";
    ASSERT_TRUE(store_.create_model(model).ok());
  }
  std::size_t entries() {
    store::AuditFilter all;
    all.limit = 1'000;
    return store_.list_audit(all)->size();
  }

  FakeClock clock_;
  SeededRandom random_{1};
  std::ostringstream out_;
  std::ostringstream error_;
  store::MemoryStore store_{clock_};
  store::MemoryFiles files_;
  store::MemoryRetention retention_{store_, files_};
  store::MemoryUsage usage_{store_};
  store::MemoryDiscovery discovery_{store_};
};

TEST_F(AuditedCommands, EveryChangeHasItsEntry) {
  for (const Change& change : kChanges) {
    SCOPED_TRACE(change.command);
    add_model_of_ada();
    const std::size_t before = entries();
    ASSERT_EQ(run(change), 0) << error_.str();
    ASSERT_EQ(entries(), before + 1);
    const store::AuditEntry entry = store_.list_audit({})->front();
    EXPECT_EQ(entry.action, change.action);
    EXPECT_TRUE(entry.target.starts_with(change.target)) << entry.target;
    EXPECT_EQ(entry.actor, "operator root");
    EXPECT_EQ(entry.at, clock_.now());
  }
}

TEST_F(AuditedCommands, EveryCommandIsOneOrTheOther) {
  std::set<std::string> known = kReads;
  for (const Change& change : kChanges) known.insert(change.command);
  const std::vector<std::string> commands = CommandLine(surroundings()).commands();
  EXPECT_EQ(std::set<std::string>(commands.begin(), commands.end()), known);
}

TEST_F(AuditedCommands, LookingAtWhatCouldBeChangedIsNoChange) {
  ASSERT_EQ(run({"user create", {"ada"}, "", ""}), 0);
  const std::size_t before = entries();
  for (const char* command : {"account retention", "account limits"}) {
    EXPECT_EQ(run({command, {"ada"}, "", ""}), 0) << error_.str();
  }
  EXPECT_EQ(entries(), before);
}

}  // namespace
}  // namespace mimeo::cli
