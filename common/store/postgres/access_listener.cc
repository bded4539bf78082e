#include "common/store/postgres/access_listener.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <exception>
#include <pqxx/connection>
#include <pqxx/nontransaction>
#include <pqxx/notification>
#include <thread>
#include <utility>

namespace mimeo::store {
namespace {

constexpr std::chrono::milliseconds kReconnectAfter{1000};
// A quiet connection is asked whether it still is one.
constexpr std::chrono::milliseconds kPingEvery{30'000};

class Receiver final : public pqxx::notification_receiver {
 public:
  Receiver(pqxx::connection& connection, const AccessFeed::Heard& heard)
      : notification_receiver(connection, "mimeo_access"), heard_(heard) {}
  void operator()(const std::string& payload, int /*backend*/) override {
    const AccountId id = std::strtoll(payload.c_str(), nullptr, 10);
    heard_(id > 0 ? std::optional<AccountId>(id) : std::nullopt);
  }

 private:
  const AccessFeed::Heard& heard_;
};

}  // namespace

struct AccessListener::State {
  explicit State(PostgresOptions options_in) : options(std::move(options_in)) {}
  ~State() {
    if (stop_event >= 0) ::close(stop_event);
  }

  // True when stop() was called; false after `limit`, or when `socket` (-1 = none) can be read.
  bool is_stopped_within(std::chrono::milliseconds limit, int socket, bool* is_readable) const {
    pollfd waits[2] = {{stop_event, POLLIN, 0}, {socket, POLLIN, 0}};
    const int ready = ::poll(waits, socket < 0 ? 1 : 2, static_cast<int>(limit.count()));
    *is_readable = ready > 0 && (waits[1].revents != 0) && socket >= 0;
    return ready > 0 && waits[0].revents != 0;
  }

  // Until stop(). Throws when the connection is lost.
  void listen() {
    pqxx::connection connection(options.conninfo);
    {
      pqxx::nontransaction session(connection);
      session.exec("SET application_name = " + session.quote(options.application_name));
    }
    const Receiver receiver(connection, heard);
    heard(std::nullopt);  // What happened before we listened was told to nobody.
    bool is_readable = true;
    for (;;) {
      if (is_readable) {
        connection.get_notifs();
      } else {
        pqxx::nontransaction(connection).exec("SELECT 1");
        connection.get_notifs();
      }
      if (is_stopped_within(kPingEvery, connection.sock(), &is_readable)) return;
      if (is_readable && !connection.is_open()) throw pqxx::broken_connection();
    }
  }

  void run() {
    bool is_readable = false;
    do {
      try {
        listen();
        return;
      } catch (const std::exception&) {
        // Nothing to report: memory has its own lifetime, and the next statement of any other
        // connection says what is wrong with the server.
      }
    } while (!is_stopped_within(kReconnectAfter, -1, &is_readable));
  }

  const PostgresOptions options;
  const int stop_event = ::eventfd(0, EFD_CLOEXEC);
  Heard heard;         // Constant once the thread runs.
  std::thread thread;  // Not running before start() and after stop().
};

AccessListener::AccessListener(PostgresOptions options)
    : state_(std::make_unique<State>(std::move(options))) {}

AccessListener::~AccessListener() { stop(); }

void AccessListener::start(Heard heard) {
  state_->heard = std::move(heard);
  state_->thread = std::thread([state = state_.get()] { state->run(); });
}

void AccessListener::stop() {
  if (!state_->thread.joinable()) return;
  const std::uint64_t one = 1;
  (void)!::write(state_->stop_event, &one, sizeof(one));
  state_->thread.join();
}

}  // namespace mimeo::store
