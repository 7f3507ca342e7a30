#include "daemon/systemd.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <fstream>

#include "server_fixture.hpp"

namespace vnvme::daemon {
namespace {

class Environment {
 public:
  Environment(const char* name, const std::string& value) : name_(name) { ::setenv(name, value.c_str(), 1); }
  ~Environment() { ::unsetenv(name_); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  const char* name_;
};

std::string self() {
  return std::to_string(::getpid());
}

// Bound datagram socket, as systemd's own.
Fd notify_socket(const std::string& path, bool abstract) {
  Fd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  if (abstract) address.sun_path[0] = '\0';
  auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  return fd;
}

TEST(Notify, ReachesPathAndAbstractSockets) {
  TemporaryDirectory directory;
  for (bool abstract : {false, true}) {
    std::string path = abstract ? "@vnvme-test-" + self() : directory.file("notify");
    Fd fd = notify_socket(path, abstract);
    Environment there("NOTIFY_SOCKET", path);
    EXPECT_TRUE(notify_systemd("READY=1\nSTATUS=x"));
    char got[100] = {};
    EXPECT_EQ(::recv(fd.get(), got, sizeof got, 0), 16);
    EXPECT_STREQ(got, "READY=1\nSTATUS=x");
  }
}

TEST(Notify, WithoutAListenerNothingHappens) {
  EXPECT_FALSE(notify_systemd("READY=1"));
  for (const std::string& bad : {std::string(), std::string("/nowhere/socket"), std::string("relative"),
                                 std::string("@"), "/" + std::string(200, 'x')}) {
    Environment there("NOTIFY_SOCKET", bad);
    EXPECT_FALSE(notify_systemd("READY=1")) << bad;
  }
}

TEST(Watchdog, HalfThePeriodForThisProcessOnly) {
  EXPECT_FALSE(watchdog_period().has_value());
  Environment micros("WATCHDOG_USEC", "30000000");
  EXPECT_EQ(watchdog_period(), std::chrono::milliseconds(15000));
  {
    Environment pid("WATCHDOG_PID", self());
    EXPECT_EQ(watchdog_period(), std::chrono::milliseconds(15000));
  }
  Environment pid("WATCHDOG_PID", "1");
  EXPECT_FALSE(watchdog_period().has_value());
  for (const char* bad : {"", "x", "-5", "99999999999999999999", "1"}) {
    ::unsetenv("WATCHDOG_PID");
    ::setenv("WATCHDOG_USEC", bad, 1);
    EXPECT_FALSE(watchdog_period().has_value()) << bad;
  }
}

// Runs `body` in a child in which `sockets` stand at descriptors 3, 4, ...; its answer is the exit code.
int in_child(const std::vector<int>& sockets, const std::function<int()>& body) {
  pid_t child = ::fork();
  if (child == 0) {
    std::vector<int> high;
    for (int s : sockets) high.push_back(::fcntl(s, F_DUPFD, 200));
    for (std::size_t i = 0; i < high.size(); ++i) ::dup2(high[i], 3 + static_cast<int>(i));
    ::_exit(body());
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(HandedSockets, AreTakenWithTheirPathsAndNames) {
  TemporaryDirectory directory;
  auto one = listen_unix(directory.file("one")), two = listen_unix(directory.file("two"));
  ASSERT_TRUE(one && two);
  int code = in_child({one->get(), two->get()}, [&] {
    ::setenv("LISTEN_PID", self().c_str(), 1);
    ::setenv("LISTEN_FDS", "2", 1);
    ::setenv("LISTEN_FDNAMES", "smapi:admin", 1);
    auto got = handed_sockets();
    if (!got || got->size() != 2) return 1;
    if ((*got)[0].path != directory.file("one") || (*got)[1].path != directory.file("two")) return 2;
    if ((*got)[0].name != "smapi" || (*got)[1].name != "admin") return 3;
    if ((::fcntl((*got)[0].fd, F_GETFD) & FD_CLOEXEC) == 0) return 4;
    if (::getenv("LISTEN_FDS") != nullptr || ::getenv("LISTEN_PID") != nullptr) return 5;
    return handed_sockets()->empty() ? 0 : 6;
  });
  EXPECT_EQ(code, 0);
}

TEST(HandedSockets, OnlyListeningUnixStreamSockets) {
  TemporaryDirectory directory;
  auto listening = listen_unix(directory.file("s"));
  Fd datagram = notify_socket(directory.file("d"), false);
  Fd inet(::socket(AF_INET, SOCK_STREAM, 0)), plain(::open("/dev/null", O_RDONLY)),
      idle(::socket(AF_UNIX, SOCK_STREAM, 0));
  for (int bad : {datagram.get(), inet.get(), plain.get(), idle.get()}) {
    int code = in_child({listening->get(), bad}, [] {
      ::setenv("LISTEN_PID", self().c_str(), 1);
      ::setenv("LISTEN_FDS", "2", 1);
      auto got = handed_sockets();
      return !got && got.error().text.find("descriptor 4") != std::string::npos ? 0 : 1;
    });
    EXPECT_EQ(code, 0);
  }
}

TEST(HandedSockets, SomebodyElsesAreNotOurs) {
  for (const auto& [pid, count] : std::vector<std::pair<std::string, std::string>>{
           {"1", "1"}, {"", "1"}, {self(), "0"}, {self(), "x"}, {self(), "-1"}}) {
    Environment a("LISTEN_PID", pid), b("LISTEN_FDS", count);
    auto got = handed_sockets();
    ASSERT_TRUE(got.has_value());
    EXPECT_TRUE(got->empty());
  }
  Environment a("LISTEN_PID", self()), b("LISTEN_FDS", "5000");
  EXPECT_FALSE(handed_sockets().has_value());
}

TEST(Listen, PrivateFromTheFirstInstantAndReplacesOnlyTheDead) {
  TemporaryDirectory directory;
  std::string path = directory.file("deep/er/socket");
  auto first = listen_unix(path);
  ASSERT_TRUE(first.has_value()) << first.error().text;
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777u, 0600u);
  EXPECT_FALSE(listen_unix(path).has_value()) << "somebody listens there";
  *first = Fd();
  EXPECT_TRUE(listen_unix(path).has_value()) << "a dead socket is replaced";
  std::ofstream(directory.file("file")) << "precious";
  EXPECT_FALSE(listen_unix(directory.file("file")).has_value());
  std::ifstream still(directory.file("file"));
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(still), {}), "precious");
  EXPECT_FALSE(listen_unix(directory.file(std::string(120, 'x'))).has_value());
}

TEST(Instance, OneAStateDirectory) {
  TemporaryDirectory directory;
  auto first = lock_instance(directory.file("d/state.db"));
  ASSERT_TRUE(first.has_value()) << first.error().text;
  auto second = lock_instance(directory.file("d/state.db"));
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, Errc::busy);
  EXPECT_NE(second.error().text.find("process " + self()), std::string::npos) << second.error().text;
  *first = Fd();
  EXPECT_TRUE(lock_instance(directory.file("d/state.db")).has_value());
}

TEST(Process, NoCoreDumpsAndPrivateFiles) {
  TemporaryDirectory directory;
  int code = in_child({}, [&] {
    harden_process();
    rlimit cores{1, 1};
    ::getrlimit(RLIMIT_CORE, &cores);
    if (cores.rlim_cur != 0 || cores.rlim_max != 0) return 1;
    if (!make_directory(directory.file("a/b"))) return 2;
    if (!make_empty_file(directory.file("a/m/marker"))) return 3;
    if (!make_empty_file(directory.file("a/m/marker"))) return 4;
    struct stat info {};
    ::stat(directory.file("a/b").c_str(), &info);
    if ((info.st_mode & 0777u) != 0700) return 5;
    ::stat(directory.file("a/m/marker").c_str(), &info);
    return (info.st_mode & 0777u) == 0600 && info.st_size == 0 ? 0 : 6;
  });
  EXPECT_EQ(code, 0);
  EXPECT_TRUE(make_directory(directory.file("")).has_value()) << "it is there already";
  EXPECT_FALSE(make_directory("/dev/null/x").has_value());
  EXPECT_FALSE(make_empty_file("/dev/null/marker").has_value());
}

TEST(Process, ConnectionsFitTheDescriptors) {
  int code = in_child({}, [] {
    rlimit few{32, 32};
    ::setrlimit(RLIMIT_NOFILE, &few);
    return static_cast<int>(affordable_connections(256));
  });
  EXPECT_GE(code, 4);
  EXPECT_LE(code, 16);
}

}  // namespace
}  // namespace vnvme::daemon
