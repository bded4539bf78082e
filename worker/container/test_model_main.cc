// The only program in the images of the container tests: linked statically, because those images
// have nothing else. Its first argument says what it does.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

namespace {

// "ok" or the reason; what a container may and may not do, asked from inside.
std::string try_write(const std::string& path) {
  std::ofstream file(path);
  file << "x";
  file.flush();
  return file ? "ok" : "refused";
}

std::string status_field(const std::string& name) {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.rfind(name + ":", 0) == 0)
      return line.substr(line.find_first_not_of(" \t", name.size() + 1));
  }
  return "?";
}

// Lines "name=value" about this container.
std::string facts() {
  const char* port = std::getenv("PORT");
  const char* given = std::getenv("GIVEN");
  std::string out;
  out += "port=" + std::string(port == nullptr ? "" : port) + "\n";
  out += "given=" + std::string(given == nullptr ? "" : given) + "\n";
  out += "capabilities=" + status_field("CapEff") + "\n";
  out += "bounding=" + status_field("CapBnd") + "\n";
  out += "no_new_privileges=" + status_field("NoNewPrivs") + "\n";
  out += "tmp=" + try_write("/tmp/x") + "\n";
  out += "root=" + try_write("/x") + "\n";
  out += "pid=" + std::to_string(::getpid()) + "\n";
  std::ifstream routes("/proc/net/route");
  int lines = 0;
  for (std::string line; std::getline(routes, line);) ++lines;
  out += "routes=" + std::to_string(lines > 0 ? lines - 1 : 0) + "\n";
  return out;
}

// Answers every connection with facts() and closes it.
int serve() {
  const char* port = std::getenv("PORT");
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(std::atoi(port == nullptr ? "5000" : port)));
  address.sin_addr.s_addr = htonl(INADDR_ANY);
  if (::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      ::listen(listener, 16) != 0) {
    std::perror("listening");
    return 1;
  }
  std::cout << "serving" << std::endl;
  for (;;) {
    const int peer = ::accept(listener, nullptr, nullptr);
    if (peer < 0) return 1;
    const std::string text = facts();
    (void)::send(peer, text.data(), text.size(), MSG_NOSIGNAL);
    ::close(peer);
  }
}

int eat() {
  std::vector<std::unique_ptr<char[]>> eaten;
  for (;;) {
    constexpr std::size_t kPiece = 1 << 20;
    eaten.push_back(std::make_unique<char[]>(kPiece));
    std::memset(eaten.back().get(), 1, kPiece);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "serve") return serve();
  if (what == "eat") return eat();
  if (what == "exit") return std::atoi(argv[2]);
  if (what == "crash") std::abort();
  if (what == "arguments") {
    for (int i = 2; i < argc; ++i) std::cout << argv[i] << std::endl;
  }
  if (what == "talk") {
    for (int i = 1; i <= 100; ++i) std::cout << "line " << i << std::endl;
  }
  ::pause();  // "arguments", "talk" and "sleep" stay.
  return 0;
}
