#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <vector>

#include "sdk/cpp/server.h"

namespace mimeo::sdk {
namespace {

// A number from the environment, or `fallback` when unset or not a positive number.
int from_environment(const char* name, int fallback) {
  const char* text = std::getenv(name);
  const int value = text == nullptr ? 0 : std::atoi(text);
  return value > 0 ? value : fallback;
}

// The arguments behind "python [options] -m cog.server.http", by which platforms and the cog
// command line start Cog images; all of them when that is not there.
std::vector<std::string> arguments(int argc, char** argv) {
  std::vector<std::string> all(argv + std::min(argc, 1), argv + argc);
  for (std::size_t i = 0; i + 1 < all.size(); ++i) {
    if (all[i] != "-m" || all[i + 1] != "cog.server.http") continue;
    all.erase(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(i) + 2);
    break;
  }
  std::reverse(all.begin(), all.end());  // As CLI11 wants them.
  return all;
}

std::string text_from_environment(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? "" : text;
}

void read_environment(ServerSettings& settings, int slots) {
  settings.port = static_cast<std::uint16_t>(from_environment("PORT", 5000));
  settings.slots = from_environment("COG_MAX_CONCURRENCY", slots);
  settings.setup_timeout = std::chrono::seconds(from_environment("COG_SETUP_TIMEOUT", 0));
  settings.weights = text_from_environment("COG_WEIGHTS");
  settings.webhooks.auth_token = text_from_environment("WEBHOOK_AUTH_TOKEN");
  const std::string interval = text_from_environment("COG_THROTTLE_RESPONSE_INTERVAL");
  if (!interval.empty()) {
    settings.webhooks.logs_interval =
        std::chrono::milliseconds(static_cast<int>(1000 * std::atof(interval.c_str())));
  }
  // Where Cog's servers tell Kubernetes that they are ready.
  if (!text_from_environment("KUBERNETES_SERVICE_HOST").empty()) {
    settings.ready_file = "/var/run/cog/ready";
  }
}

[[noreturn]] void end_process(int code) {
  std::fflush(nullptr);
  std::_Exit(code);  // A model function that still runs would block the destructors.
}

// The first signal lets running predictions finish, the second cancels them, the third insists.
void on_signals(boost::asio::signal_set& signals, Server& server, int count) {
  signals.async_wait([&signals, &server, count](const boost::system::error_code& error, int) {
    if (error) return;
    if (count == 0) server.shut_down([] { end_process(0); });
    if (count == 1) server.cancel_all();
    if (count == 2) end_process(1);
    on_signals(signals, server, count + 1);
  });
}

}  // namespace

int serve(int argc, char** argv, Model& model) {
  ServerSettings settings;
  read_environment(settings, model.slots_);
  std::string await_shutdown, mode = "predict";
  bool print_schema = false;
  int ignored_threads = 0;
  CLI::App app("A model server that speaks Cog's container protocol.");
  app.add_option("--host", settings.host, "Address to listen on")->capture_default_str();
  app.add_option(
      "--upload-url", settings.upload_url,
      "Output files are PUT below this http URL; without it they are inlined as data URIs");
  app.add_option("--await-explicit-shutdown", await_shutdown,
                 "Any value: ignore SIGTERM, stop on POST /shutdown");
  app.add_option("--x-mode", mode, "predict or train")
      ->capture_default_str()
      ->check(CLI::IsMember({"predict", "train"}));
  app.add_option("--threads", ignored_threads, "Accepted and ignored, as by Cog");
  app.add_flag("--openapi-schema", print_schema,
               "Print the schema for the label run.cog.openapi_schema and exit");
  app.set_version_flag("-v,--version", "0.23.1", "Print the version of Cog's protocol and exit");
  app.allow_extras();  // Of newer platforms.
  try {
    app.parse(arguments(argc, argv));
  } catch (const CLI::ParseError& e) {
    return app.exit(e);
  }
  settings.ignores_sigterm = !await_shutdown.empty();
  settings.trains = mode == "train";
  try {
    if (print_schema) {
      std::cout << Schema(model).document().dump() << "\n";
      return 0;
    }
    boost::asio::io_context io(1);
    Server server(io, model, settings);
    const Status started = server.start();
    if (!started.ok()) {
      std::fprintf(stderr, "cannot serve: %s\n", std::string(started.message()).c_str());
      return 1;
    }
    boost::asio::signal_set signals(io, SIGINT);
    if (settings.ignores_sigterm) {
      std::signal(SIGTERM, SIG_IGN);
    } else {
      signals.add(SIGTERM);
    }
    on_signals(signals, server, 0);
    io.run();
    end_process(0);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "cannot serve: %s\n", e.what());
    return 1;
  }
}

}  // namespace mimeo::sdk
