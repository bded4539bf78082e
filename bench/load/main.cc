// mimeo-load: many clients of the HTTP API in one thread, for bench/api.

#include <fstream>
#include <iostream>

#include "bench/load/load.h"
#include "common/config/settings.h"

namespace mimeo::load {

std::string request_for(const Options& options, std::size_t connection) {
  std::string head = "GET " + options.paths[connection % options.paths.size()] + " HTTP/1.1\r\n";
  head += "Host: " + options.host + "\r\nUser-Agent: mimeo-load\r\n";
  head += options.mode == "poll" ? "Accept: application/json\r\n" : "Accept: text/event-stream\r\n";
  if (!options.token.empty()) head += "Authorization: Bearer " + options.token + "\r\n";
  return head + "\r\n";
}

}  // namespace mimeo::load

int main(int argc, char** argv) {
  namespace load = mimeo::load;
  load::Options options;
  std::string paths_file;
  mimeo::Settings settings("mimeo-load", "Many clients of the HTTP API in one thread.");
  settings.add_choice("mode", &options.mode, {"poll", "streams"}, "What the clients do");
  settings.add("host", &options.host, "IPv4 address of the server");
  settings.add("port", &options.port, "Its port");
  settings.add("token", &options.token, "Bearer token");
  settings.add_required("paths", &paths_file, "File with one path a line");
  settings.add("connections", &options.connections, "Number of clients");
  settings.add("per-second", &options.per_second, "Requests of one client in a second");
  settings.add("duration-s", &options.duration, "How long");
  if (const auto exit_code = settings.parse(argc, argv)) return *exit_code;
  std::ifstream file(paths_file);
  for (std::string line; std::getline(file, line);) options.paths.push_back(line);
  if (options.paths.empty()) {
    std::cerr << "mimeo-load: no paths in " << paths_file << '\n';
    return 2;
  }
  return options.mode == "poll" ? load::poll(options) : load::streams(options);
}
