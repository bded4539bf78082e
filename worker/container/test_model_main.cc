// The only program in the images of the container tests: linked statically, because those images
// have nothing else. Its first argument says what it does.

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
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

std::string outcome(long result) { return result < 0 ? std::to_string(errno) : "ok"; }

// "dev proc tmp": what is in a folder.
std::string entries(const char* folder) {
  std::vector<std::string> names;
  DIR* open = ::opendir(folder);
  while (const dirent* entry = open == nullptr ? nullptr : ::readdir(open)) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  std::sort(names.begin(), names.end());
  std::string out;
  for (const auto& name : names) out += (out.empty() ? "" : " ") + name;
  return out;
}

// A child whose own child outlives it; what that one's parent is then.
std::string parent_of_orphan() {
  std::array<int, 2> fds{};
  if (::pipe(fds.data()) != 0) return "?";
  const pid_t child = ::fork();
  if (child == 0) {
    if (::fork() != 0) ::_exit(0);
    while (::getppid() != 1) ::usleep(1000);
    (void)!::write(fds[1], "1", 1);
    ::_exit(0);
  }
  ::close(fds[1]);
  ::waitpid(child, nullptr, 0);
  char answer = '?';
  (void)!::read(fds[0], &answer, 1);
  ::close(fds[0]);
  return std::string(1, answer);
}

// Lines "name=value" about what lies outside of a container.
std::string reach() {
  std::string out;
  out += "mount=" + outcome(::mount("none", "/tmp", "tmpfs", 0, nullptr)) + "\n";
  out += "unshare=" + outcome(::unshare(CLONE_NEWUSER)) + "\n";
  out += "chroot=" + outcome(::chroot("/tmp")) + "\n";
  out += "bpf=" + outcome(::syscall(SYS_bpf, 0, nullptr, 0)) + "\n";
  out += "keyctl=" + outcome(::syscall(SYS_keyctl, 0, 0)) + "\n";
  out += "mknod=" + outcome(::mknod("/tmp/disk", S_IFBLK | 0600, 0x800)) + "\n";
  out += "core_pattern=" + try_write("/proc/sys/kernel/core_pattern") + "\n";
  out += "sysrq=" + try_write("/proc/sysrq-trigger") + "\n";
  out += "sys=" + try_write("/sys/kernel/mm/ksm/run") + "\n";
  std::array<char, 256> link{};
  out += "exe_of_init=" + outcome(::readlink("/proc/1/exe", link.data(), link.size())) + "\n";
  std::string init;
  std::getline(std::ifstream("/proc/1/cmdline"), init, '\0');
  out += "init=" + init + "\n";
  (void)::kill(1, SIGKILL);  // It is not heard: we are there to answer.
  out += "entries=" + entries("/") + "\n";
  out += "devices=" + entries("/dev") + "\n";
  return out;
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
  out += "uid=" + std::to_string(::getuid()) + "\n";
  out += "gid=" + std::to_string(::getgid()) + "\n";
  std::array<char, 256> text{};
  out += "cwd=" + std::string(::getcwd(text.data(), text.size()) == nullptr ? "?" : text.data());
  out += "\nhostname=";
  out += ::gethostname(text.data(), text.size()) == 0 ? text.data() : "?";
  const char* home = std::getenv("HOME");
  out += "\nhome=" + std::string(home == nullptr ? "" : home) + "\n";
  out += "parent_of_orphan=" + parent_of_orphan() + "\n";
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
    std::string text = reach();
    text += facts();  // Afterwards: it leaves a file.
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

void exit_at_term(int /*signal*/) { ::_exit(3); }

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "serve") return serve();
  if (what == "eat") return eat();
  if (what == "exit") return std::atoi(argv[2]);
  if (what == "crash") std::abort();
  if (what == "term") {  // Ends in order when asked to.
    ::signal(SIGTERM, exit_at_term);
    std::cout << "waiting" << std::endl;
  }
  if (what == "arguments") {
    for (int i = 2; i < argc; ++i) std::cout << argv[i] << std::endl;
  }
  if (what == "talk") {
    for (int i = 1; i <= 100; ++i) std::cout << "line " << i << std::endl;
  }
  ::pause();  // "arguments", "talk", "term" and "sleep" stay.
  return 0;
}
