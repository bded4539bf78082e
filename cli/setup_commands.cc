// mimeo migrate, mimeo registry-keys.

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "cli/accounts.h"
#include "common/base/time_format.h"
#include "common/crypto/crypto.h"
#include "common/store/postgres/migrator.h"

namespace mimeo::cli {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct MigrateOptions {
  int wait_s = 30;
  bool only_status = false;
};

// Repeats while the server does not answer yet.
Result<std::vector<std::string>> migrate_when_ready(const std::string& database, int wait_s,
                                                    const Clock& clock) {
  const SteadyTime deadline = clock.steady() + std::chrono::seconds{wait_s};
  while (true) {
    auto applied = store::migrate(database);
    if (!absl::IsUnavailable(applied.status()) || clock.steady() >= deadline) return applied;
    std::this_thread::sleep_for(std::chrono::milliseconds{200});
  }
}

// What a new installation cannot work without. Never changes what is there.
Status add_defaults(CommandLine& line) {
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  MIMEO_RETURN_IF_ERROR(
      stores.maintenance.make_partitions(line.surroundings().clock.now(), std::chrono::hours{48}));
  MIMEO_RETURN_IF_ERROR(stores.fleet.ensure_cell(1));
  MIMEO_ASSIGN_OR_RETURN(const auto hardware, stores.catalog.list_hardware());
  if (!hardware.empty()) return absl::OkStatus();
  Hardware cpu;
  cpu.sku = "cpu";
  cpu.name = "CPU";
  cpu.resources.cpu_milli = 1000;
  cpu.resources.memory = 2_GiB;
  MIMEO_RETURN_IF_ERROR(stores.catalog.put_hardware(cpu, 0));
  MIMEO_RETURN_IF_ERROR(log_change(line, stores, "hardware.set", 0, cpu.sku, Json::object()));
  line.surroundings().error << "added the hardware `cpu` (1 core, 2 GiB): change it with `mimeo "
                               "hardware set cpu`\n";
  return absl::OkStatus();
}

Status migrate(CommandLine& line, const MigrateOptions& options) {
  MIMEO_ASSIGN_OR_RETURN(const std::string database, line.database());
  std::ostream& out = line.surroundings().out;
  if (options.only_status) {
    MIMEO_ASSIGN_OR_RETURN(const auto status, store::migration_status(database));
    for (const auto& applied : status.applied) {
      out << applied.name << "  applied " << to_rfc3339(applied.applied_at) << "\n";
    }
    for (const std::string& name : status.missing) out << name << "  missing\n";
    return absl::OkStatus();
  }
  MIMEO_ASSIGN_OR_RETURN(const auto applied,
                         migrate_when_ready(database, options.wait_s, line.surroundings().clock));
  for (const std::string& name : applied) out << "applied " << name << "\n";
  if (applied.empty()) out << "the schema is up to date\n";
  return add_defaults(line);
}

// Never overwrites.
Status write_new(const fs::path& path, const std::string& text, mode_t mode) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (file < 0) return absl::ErrnoToStatus(errno, absl::StrCat("writing ", path.string()));
  const bool is_written =
      write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int reason = errno;
  close(file);
  return is_written ? absl::OkStatus()
                    : absl::ErrnoToStatus(reason, absl::StrCat("writing ", path.string()));
}

Status make_registry_keys(CommandLine& line, const std::string& directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot make ", directory, ": ", error.message()));
  }
  const fs::path key = fs::path(directory) / "registry.key";
  const fs::path certificate = fs::path(directory) / "registry.crt";
  const bool has_key = fs::exists(key);
  const bool has_certificate = fs::exists(certificate);
  if (has_key != has_certificate) {
    return absl::FailedPreconditionError(
        absl::StrCat("only one of ", key.string(), " and ", certificate.string(),
                     " is there: restore the other, or remove it to make a new pair"));
  }
  if (!has_key) {
    MIMEO_ASSIGN_OR_RETURN(const auto pair, crypto::make_signing_pair("mimeo registry tokens"));
    MIMEO_RETURN_IF_ERROR(write_new(key, pair.first, 0600));
    MIMEO_RETURN_IF_ERROR(write_new(certificate, pair.second, 0644));
  }
  line.surroundings().out << key.string() << "\n" << certificate.string() << "\n";
  return absl::OkStatus();
}

}  // namespace

void add_setup_commands(CLI::App& app, CommandLine& line) {
  auto* migrate_command = app.add_subcommand(
      "migrate", "Bring the database to the schema of this program; may be repeated");
  const auto options = std::make_shared<MigrateOptions>();
  migrate_command
      ->add_option("--wait", options->wait_s,
                   "Seconds to wait for a server that does not answer yet")
      ->capture_default_str();
  migrate_command->add_flag("--status", options->only_status,
                            "Only show which migrations were applied");
  line.on(*migrate_command, [&line, options] { return migrate(line, *options); });

  auto* keys = app.add_subcommand(
      "registry-keys", "Make the key pair that signs registry tokens, unless it is there");
  const auto directory = std::make_shared<std::string>();
  keys->add_option("directory", *directory, "Where registry.key and registry.crt go")->required();
  line.on(*keys, [&line, directory] { return make_registry_keys(line, *directory); });
}

}  // namespace mimeo::cli
