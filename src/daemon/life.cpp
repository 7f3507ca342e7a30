#include "daemon/life.hpp"

#include <malloc.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "core/log.hpp"
#include "core/text.hpp"
#include "daemon/admin_server.hpp"
#include "daemon/smapi_server.hpp"
#include "daemon/systemd.hpp"
#include "state/attached.hpp"

namespace vnvme::daemon {
namespace {

constexpr const char* kDefaultConfig = "/etc/vnvme/vnvmed.json";
constexpr auto kDrain = std::chrono::seconds(5);       // calls in flight when asked to end
constexpr auto kBackendEnd = std::chrono::seconds(3);  // then store and DPU sessions
constexpr auto kToken = boost::asio::as_tuple(boost::asio::use_awaitable);

constexpr const char* kHelp =
    "vnvmed: gives XAPI the NVMe drives of a DPU as virtual machine disks\n"
    "\n"
    "  vnvmed [--config FILE]                 run in the foreground, log to stderr\n"
    "  vnvmed [--config FILE] --check-config  say what is wrong with the file, and end\n"
    "  vnvmed [--config FILE] --check-unused  exit code 0 when no SR is attached, else say which\n"
    "  vnvmed --version | --help\n"
    "\n"
    "Without --config it reads /etc/vnvme/vnvmed.json; that file may be absent or empty.\n"
    "SIGHUP reads the log section again and reopens the log; SIGTERM ends it, calls in\n"
    "flight first. `vnvme status` shows what it does; `vnvme doctor` what is wrong.\n";

struct CommandLine {
  std::string config = kDefaultConfig;
  bool config_given = false;
  bool check_only = false;
  bool unused_only = false;
};

// Nothing: go on. Otherwise the exit code.
std::optional<int> read_command_line(int argc, char** argv, CommandLine& line) {
  for (int i = 1; i < argc; ++i) {
    std::string_view word = argv[i];
    if (word == "--help" || word == "-h") {
      std::fputs(kHelp, stdout);
      return 0;
    }
    if (word == "--version") {
      std::puts("vnvmed " VNVME_VERSION);
      return 0;
    }
    if (word == "--check-config") {
      line.check_only = true;
    } else if (word == "--check-unused") {
      line.unused_only = true;
    } else if (word == "--config" && i + 1 < argc) {
      line.config = argv[++i];
      line.config_given = true;
    } else if (word.starts_with("--config=")) {
      line.config = word.substr(9);
      line.config_given = true;
    } else {
      std::fprintf(stderr, "vnvmed: unknown argument '%s'; see vnvmed --help\n", argv[i]);
      return 2;
    }
  }
  return std::nullopt;
}

struct Sockets {
  Fd smapi, admin;
};

// Those of the socket unit where there are any, so that requests queue while the daemon restarts; else our
// own.
Result<Sockets> open_sockets(const Config& config) {
  auto handed = handed_sockets();
  if (!handed) return fail(handed.error());
  Sockets sockets;
  for (HandedSocket& h : *handed) {
    if (h.path == config.smapi_socket) {
      sockets.smapi = Fd(h.fd);
    } else if (h.path == config.admin_socket) {
      sockets.admin = Fd(h.fd);
    } else {
      return fail(Errc::invalid_argument, "systemd's vnvmed.socket listens on " + h.path + ", but " +
                                              config.file + " names " + config.smapi_socket + " and " +
                                              config.admin_socket + "; make them agree");
    }
  }
  for (auto [fd, path] :
       {std::pair{&sockets.smapi, &config.smapi_socket}, {&sockets.admin, &config.admin_socket}}) {
    if (fd->get() >= 0) continue;
    auto own = listen_unix(*path);
    if (!own) return fail(own.error());
    *fd = std::move(*own);
  }
  return sockets;
}

class Life {
 public:
  Life(boost::asio::io_context& io, Config config, Backend& backend, EventLog& events, Sockets sockets)
      : io_(io),
        config_(std::move(config)),
        backend_(backend),
        events_(events),
        smapi_(io.get_executor(), std::move(sockets.smapi), backend.handler(), smapi_limits()),
        admin_(io.get_executor(), std::move(sockets.admin), backend.admin()),
        ends_(io, SIGTERM, SIGINT),
        reloads_(io, SIGHUP),
        watchdog_(io) {}

  // Runs until the end; true when nothing is left that still uses the objects around it.
  bool run() {
    spawn([this]() -> Task<void> { co_await begin(); });
    spawn([this]() -> Task<void> { co_await wait_for_end(); });
    spawn([this]() -> Task<void> { co_await wait_for_reloads(); });
    spawn([this]() -> Task<void> { co_await feed_watchdog(); });
    while (!over_ && io_.run_one() > 0) {
    }
    io_.run_for(std::chrono::milliseconds(500));
    return io_.stopped();
  }
  [[nodiscard]] int exit_code() const { return exit_code_; }

 private:
  static SmapiLimits smapi_limits() {
    SmapiLimits limits;
    limits.connections = affordable_connections(limits.connections);
    return limits;
  }
  template <class F>
  void spawn(F body) {
    boost::asio::co_spawn(io_, std::move(body), boost::asio::detached);
  }

  Task<void> begin() {
    auto started = co_await backend_.start();
    if (ending_) co_return;
    if (!started) {
      log::error("cannot start", {{"why", started.error().describe()}});
      exit_code_ = 1;
      co_await end();
      co_return;
    }
    smapi_.start();
    admin_.start();
    serving_ = true;
    log::info("ready", {{"version", VNVME_VERSION},
                        {"dpus", static_cast<std::uint64_t>(config_.dpus.size())},
                        {"smapi", config_.smapi_socket},
                        {"config", config_.file}});
    events_.add("info", "", "vnvmed " VNVME_VERSION " is ready");
    notify_systemd("READY=1\nSTATUS=Answering requests");
  }

  Task<void> wait_for_end() {
    auto [error, number] = co_await ends_.async_wait(kToken);
    if (error) co_return;
    log::info("ending", {{"signal", number == SIGTERM ? "SIGTERM" : "SIGINT"},
                         {"requests", static_cast<std::uint64_t>(smapi_.running())}});
    co_await end();
  }

  // Answers that are ready go out; what is not ready by then is left to the front-end, which asks again.
  Task<void> end() {
    if (ending_) co_return;
    ending_ = true;
    notify_systemd("STOPPING=1\nSTATUS=Ending: letting requests finish");
    Deadline drain = Deadline::after(kDrain);
    smapi_.stop();
    admin_.stop();
    if (serving_) {
      bool calls = co_await smapi_.drained(drain);
      bool verbs = co_await admin_.drained(drain);
      if (!calls || !verbs)
        log::warning("ending with requests in flight",
                     {{"requests", static_cast<std::uint64_t>(smapi_.running())}});
    }
    smapi_.close_all();
    admin_.close_all();
    co_await backend_.stop(Deadline::after(kBackendEnd));
    boost::system::error_code ignored;
    ends_.cancel(ignored);
    reloads_.cancel(ignored);
    watchdog_.cancel();
    log::info("ended");
    over_ = true;
  }

  Task<void> wait_for_reloads() {
    while (true) {
      auto [error, number] = co_await reloads_.async_wait(kToken);
      if (error) co_return;
      reload();
    }
  }

  // Only the log section: what else changes needs a restart, which loses nothing.
  void reload() {
    auto fresh = load_config(config_.file, false);
    if (!fresh) {
      log::error("SIGHUP: the configuration is wrong and was not taken", {{"why", fresh.error().text}});
      return;
    }
    if (auto ok = log::setup(fresh->log_level, fresh->log_path); !ok) {
      log::error("SIGHUP: the log stays where it is", {{"why", ok.error().text}});
      return;
    }
    config_.log_level = fresh->log_level;
    config_.log_path = fresh->log_path;
    log::info("SIGHUP: log reopened; other keys count from the next start", {{"config", config_.file}});
  }

  Task<void> feed_watchdog() {
    auto period = watchdog_period();
    while (period && !over_) {
      watchdog_.expires_after(*period);
      auto [error] = co_await watchdog_.async_wait(kToken);
      if (error) co_return;
      notify_systemd("WATCHDOG=1");
    }
  }

  boost::asio::io_context& io_;
  Config config_;
  Backend& backend_;
  EventLog& events_;
  SmapiServer smapi_;
  AdminServer admin_;
  boost::asio::signal_set ends_, reloads_;
  Timer watchdog_;
  bool serving_ = false, ending_ = false, over_ = false;
  int exit_code_ = 0;
};

int give_up(const Error& error) {
  log::error("cannot start", {{"why", error.describe()}});
  return 1;
}

int live(const Config& config, const MakeBackend& make_backend) {
  harden_process();
  if (auto ok = log::setup(config.log_level, config.log_path); !ok) return give_up(ok.error());
  auto lock = lock_instance(config.state_path);
  if (!lock) return give_up(lock.error());
  for (const std::string& directory : {config.run_dir})
    if (auto ok = make_directory(directory); !ok) return give_up(ok.error());
  if (auto ok = make_empty_file(config.marker_path); !ok) return give_up(ok.error());
  auto sockets = open_sockets(config);
  if (!sockets) return give_up(sockets.error());

  boost::asio::io_context io(1);
  EventLog events;
  auto backend = make_backend(io, config, events);
  if (!backend) return give_up(backend.error());
  Life life(io, config, **backend, events, std::move(*sockets));
  bool clean = life.run();
  // Coroutines that are still suspended point at each other's objects, in no order that destructors could
  // follow. The store is closed and everything else is volatile: leave without destructors.
  if (!clean) {
    std::fflush(nullptr);
    std::_Exit(life.exit_code());
  }
  return life.exit_code();
}

// Asked by the package before it is removed; the daemon need not run.
int check_unused(const Config& config) {
  auto attached = state::attached_srs(config.state_path);
  if (!attached) {
    std::fprintf(stderr, "vnvmed: nobody can tell whether an SR is attached: %s\n",
                 attached.error().describe().c_str());
    return 1;
  }
  if (attached->empty()) {
    std::puts("no SR is attached");
    return 0;
  }
  for (const state::AttachedSr& sr : *attached) {
    const std::string volumes = sr.volumes == 0
                                    ? ""
                                    : ", with " + std::to_string(sr.volumes) +
                                          (sr.volumes == 1 ? " volume" : " volumes") + " of it in use";
    std::fprintf(stderr, "vnvmed: SR %s (%s) is attached%s; first: xe pbd-unplug for its PBD\n",
                 sr.id.c_str(), printable(sr.name, 80).c_str(), volumes.c_str());
  }
  return 1;
}

// A long list is made of a few buffers of megabytes. By default glibc gives such memory back to the kernel
// each time, and takes it anew page by page: that was half of the CPU of listing 10,000 volumes.
void keep_memory() {
  constexpr int kOwnMapping = 32 << 20;  // the largest that mallopt takes
  constexpr int kKept = 64 << 20;
  (void)mallopt(M_MMAP_THRESHOLD, kOwnMapping);
  (void)mallopt(M_TRIM_THRESHOLD, kKept);
}

}  // namespace

int run_daemon(int argc, char** argv, const MakeBackend& make_backend) {
  CommandLine line;
  if (auto code = read_command_line(argc, argv, line)) return *code;
  auto config = load_config(line.config, line.config_given);
  if (!config) {
    std::fprintf(stderr, "%s\n", config.error().text.c_str());
    return 1;
  }
  if (line.check_only) {
    std::printf("%s is right: %zu DPU%s, state in %s\n", config->file.c_str(), config->dpus.size(),
                config->dpus.size() == 1 ? "" : "s", config->state_path.c_str());
    return 0;
  }
  if (line.unused_only) return check_unused(*config);
  keep_memory();
  return live(*config, make_backend);
}

}  // namespace vnvme::daemon
