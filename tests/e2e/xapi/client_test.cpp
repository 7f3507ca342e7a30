// Our client and watcher over a real unix socket, against the fake XAPI in a
// process of its own: another language, another HTTP, threads, real time.
#include "xapi/client.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <filesystem>

#include "core/json.hpp"
#include "xapi/watcher.hpp"

namespace vnvme::xapi {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// tests/support/fake_xapi.py; ends with our end of its stdin.
class Process {
 public:
  explicit Process(const std::string& socket) {
    int in[2], out[2];
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) return;
    pid_ = fork();
    if (pid_ == 0) {
      dup2(in[0], 0);
      dup2(out[1], 1);
      const std::string script = std::string(VNVME_SOURCE) + "/tests/support/fake_xapi.py";
      execlp("python3", "python3", "-B", script.c_str(), "--unix", socket.c_str(),
             static_cast<char*>(nullptr));
      _exit(127);
    }
    close(in[0]);
    close(out[1]);
    stdin_ = in[1];
    char line[256];
    EXPECT_GT(read(out[0], line, sizeof line), 0) << "the fake XAPI did not start";
    close(out[0]);
  }
  ~Process() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    close(stdin_);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

 private:
  pid_t pid_ = -1;
  int stdin_ = -1;
};

class RealSocket : public testing::Test {
 protected:
  boost::asio::io_context io;
  std::string folder;
  std::unique_ptr<Process> xapi;
  std::unique_ptr<Client> client, other;

  void SetUp() override {
    char name[] = "/tmp/vnvme-xapi-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder = name;
    start();
    client = connect();
    other = connect();
  }
  void TearDown() override {
    for (auto* one : {client.get(), other.get()}) one->shutdown();
    io.restart();
    io.run();
    xapi.reset();
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }
  void start() { xapi = std::make_unique<Process>(folder + "/xapi"); }
  std::unique_ptr<Client> connect() {
    auto connector = rpc::make_connector(io, "unix:" + folder + "/xapi");
    EXPECT_TRUE(connector);
    return std::make_unique<Client>(io, std::move(*connector), Client::Options{});
  }
  template <class T>
  Result<T> run(std::function<Task<Result<T>>()> make) {
    std::optional<Result<T>> out;
    boost::asio::co_spawn(io, make, [&out](std::exception_ptr, Result<T> r) { out = std::move(r); });
    io.restart();
    while (!out && io.run_one() > 0) {
    }
    EXPECT_TRUE(out) << "the call never ended";
    return out ? std::move(*out) : Result<T>(fail(Errc::internal, "hangs"));
  }
  static Deadline soon() { return Deadline::after(seconds(20)); }
};

TEST_F(RealSocket, ReadsWritesAndFollows) {
  Watcher watcher(io, *client, {});
  auto first = run<Delta>([&] { return watcher.next(soon()); });
  ASSERT_TRUE(first) << first.error().describe();
  EXPECT_EQ(watcher.picture().unreadable.size(), 0u);
  ASSERT_EQ(watcher.picture().vms.size(), 1u);
  ASSERT_EQ(watcher.picture().hosts.size(), 1u);
  ASSERT_EQ(watcher.picture().pools.size(), 1u);
  auto vm = watcher.picture().vms.begin()->second;
  EXPECT_TRUE(vm.is_control_domain);
  EXPECT_EQ(vm.power_state, PowerState::running);
  const std::string text = "0/0000:01:00.0 \xC3\xBC \"quoted\" \n";
  auto key = [&](const std::string& value) {
    return run<void>([this, &vm, value] {
      return other->set_key(Class::vm, vm.ref, Field::other_config, "pci", value, soon());
    });
  };
  ASSERT_TRUE(key("old"));
  ASSERT_TRUE(key(text));
  auto change = run<Delta>([&] { return watcher.next(soon()); });
  ASSERT_TRUE(change);
  ASSERT_EQ(change->changes.size(), 1u);
  EXPECT_EQ(watcher.picture().vms.at(vm.ref).other_config.at("pci"), text);
  auto again = run<Record>([&] { return client->get_record(Class::vm, vm.ref, soon()); });
  ASSERT_TRUE(again);
  EXPECT_EQ(std::get<Vm>(*again), watcher.picture().vms.at(vm.ref));
  auto found = run<Ref>([&] { return client->get_by_uuid(Class::vm, vm.uuid.str(), soon()); });
  EXPECT_EQ(found, vm.ref);
  auto query = "field \"uuid\" = \"" + vm.uuid.str() + "\"";
  auto where =
      run<std::vector<Record>>([&] { return client->get_all_records_where(Class::vm, query, soon()); });
  ASSERT_TRUE(where);
  EXPECT_EQ(where->size(), 1u);
  auto missing = run<Record>([&] { return client->get_record(Class::vbd, vm.ref, soon()); });
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Errc::not_found);
  Message message;
  message.name = "VNVME_TEST";
  message.uuid = watcher.picture().hosts.begin()->second.uuid;
  message.cls = Class::host;
  message.body = "text";
  EXPECT_TRUE(run<Ref>([&] { return client->create_message(message, soon()); }));
}

TEST_F(RealSocket, AnswersWithinItsDeadlineWhenNothingHappens) {
  Watcher watcher(io, *client, {});
  ASSERT_TRUE(run<Delta>([&] { return watcher.next(soon()); }));
  auto quiet = run<Delta>([&] { return watcher.next(Deadline::after(milliseconds(1500))); });
  ASSERT_TRUE(quiet) << quiet.error().describe();
  EXPECT_TRUE(quiet->changes.empty());
  EXPECT_TRUE(watcher.current());
}

TEST_F(RealSocket, SurvivesAKilledXapi) {
  Watcher watcher(io, *client, {});
  ASSERT_TRUE(run<Delta>([&] { return watcher.next(soon()); }));
  auto before = watcher.picture().vms.begin()->first;
  xapi.reset();
  auto lost = run<Delta>([&] { return watcher.next(soon()); });
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code, Errc::unreachable);
  EXPECT_NE(client->trouble(), "");
  start();  // with another database
  for (int i = 0; i < 50 && !watcher.current(); ++i) run<Delta>([&] { return watcher.next(soon()); });
  ASSERT_TRUE(watcher.current());
  EXPECT_NE(watcher.picture().vms.begin()->first, before);
  EXPECT_EQ(watcher.picture().vms.size(), 1u);
  EXPECT_EQ(client->session(), 2u);
}

}  // namespace
}  // namespace vnvme::xapi
