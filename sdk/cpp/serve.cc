#include <CLI/CLI.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>

#include "sdk/cpp/server.h"

namespace mimeo::sdk {
namespace {

// A number from the environment, or `fallback` when unset or not a positive number.
int from_environment(const char* name, int fallback) {
  const char* text = std::getenv(name);
  const int value = text == nullptr ? 0 : std::atoi(text);
  return value > 0 ? value : fallback;
}

}  // namespace

int serve(int argc, char** argv, Model& model) {
  ServerSettings settings;
  settings.port = static_cast<std::uint16_t>(from_environment("PORT", 5000));
  settings.slots = from_environment("COG_MAX_CONCURRENCY", model.slots_);
  settings.setup_timeout = std::chrono::seconds(from_environment("COG_SETUP_TIMEOUT", 0));
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
  try {
    app.parse(argc, argv);
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
    signals.async_wait([&](const boost::system::error_code& error, int) {
      if (!error) server.shut_down();
    });
    io.run();
    std::fflush(nullptr);
    std::_Exit(0);  // A model function that still runs would block the destructors.
  } catch (const std::exception& e) {
    std::fprintf(stderr, "cannot serve: %s\n", e.what());
    return 1;
  }
}

}  // namespace mimeo::sdk
