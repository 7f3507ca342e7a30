// Block devices: a plain file, the real qemu-nbd where it is installed, and a scripted NBD peer that fails
// each step.
#include "host/block_devices.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <thread>

#include "host/nbd_wire.hpp"
#include "unit/host/host_support.hpp"

namespace vnvme::host {
namespace {

namespace asio = boost::asio;
using Unix = asio::local::stream_protocol;

constexpr std::size_t kSize = 1u << 20;

// The life of a device, the same for each kind.
void exercise(asio::io_context& io, BlockDevice& device) {
  EXPECT_EQ(device.size(), Bytes{kSize});
  const std::string data(70000, 'd');
  ASSERT_TRUE(run_task(io, device.write(4096, data, soon())));
  EXPECT_EQ(run_task(io, device.read(4095, 70002, soon())).value(),
            std::string(1, '\0') + data + std::string(1, '\0'));
  ASSERT_TRUE(run_task(io, device.write_zeroes(8192, 12288, soon())));
  EXPECT_EQ(run_task(io, device.read(8191, 12290, soon())).value(), "d" + std::string(12288, '\0') + "d");
  ASSERT_TRUE(run_task(io, device.discard(0, kSize, soon())));
  ASSERT_TRUE(run_task(io, device.write_zeroes(0, kSize, soon())));
  EXPECT_EQ(run_task(io, device.read(0, kSize, soon())).value(), std::string(kSize, '\0'));
  ASSERT_TRUE(run_task(io, device.flush(soon())));
  EXPECT_EQ(run_task(io, device.read(kSize, 0, soon())).value(), "");
  EXPECT_EQ(run_task(io, device.read(kSize, 1, soon())).error().code, Errc::invalid_argument);
  EXPECT_EQ(run_task(io, device.write(kSize - 1, "ab", soon())).error().code, Errc::invalid_argument);
  EXPECT_EQ(run_task(io, device.write_zeroes(1, UINT64_MAX, soon())).error().code, Errc::invalid_argument);
  EXPECT_EQ(run_task(io, device.discard(UINT64_MAX, 2, soon())).error().code, Errc::invalid_argument);
  EXPECT_EQ(run_task(io, device.read(0, kMaxTransfer + 1, soon())).error().code, Errc::invalid_argument);
}

TEST(BlockDevices, AFile) {
  Tree tree;
  tree.file("disk", std::string(kSize, '\0'));
  tree.link(tree / "disk", "link");
  asio::io_context io;
  LocalBlockDevices devices;
  auto device = run_task(io, devices.open(tree / "link", soon()));
  ASSERT_TRUE(device) << device.error().describe();
  exercise(io, **device);
}

TEST(BlockDevices, WhatIsNoDevice) {
  Tree tree;
  asio::io_context io;
  LocalBlockDevices devices;
  EXPECT_EQ(run_task(io, devices.open(tree / "absent", soon())).error().code, Errc::not_found);
  EXPECT_EQ(run_task(io, devices.open(tree.path(), soon())).error().code, Errc::invalid_argument);
  EXPECT_EQ(run_task(io, devices.open("/dev/null", soon())).error().code, Errc::invalid_argument);
  tree.file("truncated", std::string(kSize, 'x'));
  auto device = run_task(io, devices.open(tree / "truncated", soon()));
  ASSERT_TRUE(device);
  std::filesystem::resize_file(tree / "truncated", 10);
  EXPECT_EQ(run_task(io, (*device)->read(4096, 10, soon())).error().code, Errc::io) << "shorter than it said";
}

TEST(BlockDevices, TheRealQemuNbd) {
  if (::access("/usr/bin/qemu-nbd", X_OK) != 0)
    GTEST_SKIP() << "qemu-nbd is not installed (package qemu-utils)";
  Tree tree;
  tree.file("disk", std::string(kSize, '\0'));
  const std::string image = tree / "disk", socket = tree / "nbd";
  pid_t child = ::fork();
  if (child == 0) {
    ::execl("/usr/bin/qemu-nbd", "qemu-nbd", "-f", "raw", "-t", "--discard=unmap", "-k", socket.c_str(),
            image.c_str(), nullptr);
    ::_exit(127);
  }
  asio::io_context io;
  LocalBlockDevices devices;
  Result<std::unique_ptr<BlockDevice>> device;
  const Deadline limit = soon();
  do device = run_task(io, devices.open(socket, soon()));
  while (!device && !limit.passed());
  EXPECT_TRUE(device) << device.error().describe();
  if (device) exercise(io, **device);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  if (device) {
    EXPECT_EQ(run_task(io, (*device)->read(0, 512, soon())).error().outcome, Outcome::unknown);
  }
}

// A peer that plays a script: it reads so many bytes, then sends so many, and so on; then it closes, or goes
// silent.
struct Step {
  std::size_t read;
  std::string send;
};

class Peer {
 public:
  Peer(const Tree& tree, std::vector<Step> script, bool silent_at_end)
      : path_(tree / "nbd"),
        acceptor_(io_, Unix::endpoint(path_)),
        script_(std::move(script)),
        silent_(silent_at_end) {
    thread_ = std::thread([this] { play(); });
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  ~Peer() { thread_.join(); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  void play() {
    boost::system::error_code error;
    Unix::socket socket(io_);
    acceptor_.accept(socket, error);
    for (const Step& step : script_) {
      std::string in(step.read, '\0');
      asio::read(socket, asio::buffer(in), error);
      if (!error) asio::write(socket, asio::buffer(step.send), error);
      if (error) return;
    }
    // Silent: until the client closes.
    std::string rest(1, '\0');
    while (silent_ && !error) asio::read(socket, asio::buffer(rest), error);
  }
  std::string path_;
  asio::io_context io_;
  Unix::acceptor acceptor_;
  std::vector<Step> script_;
  bool silent_;
  std::thread thread_;
};

std::string big(std::uint64_t value, int bytes) {
  std::string out;
  for (int shift = bytes * 8 - 8; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift);
  return out;
}
std::string greeting(unsigned flags = 3) {
  return "NBDMAGICIHAVEOPT" + big(flags, 2);
}
std::string option_reply(std::uint32_t type, const std::string& data) {
  return big(0x3e889045565a9, 8) + big(nbd::kOptGo, 4) + big(type, 4) + big(data.size(), 4) + data;
}
std::string info(std::uint64_t size = kSize, unsigned flags = 0x65) {
  return option_reply(nbd::kRepInfo, big(0, 2) + big(size, 8) + big(flags, 2));
}
std::string reply(std::uint32_t error, std::uint64_t cookie = 1) {
  return big(0x67446698, 4) + big(error, 4) + big(cookie, 8);
}

constexpr std::size_t kGoBytes = 4 + 16 + 6;  // client flags, option header, data
constexpr std::size_t kRequestBytes = 28;

std::vector<Step> opened() {
  return {{0, greeting()}, {kGoBytes, info() + option_reply(nbd::kRepAck, "")}};
}

// Opens, and reads 8 bytes.
Result<std::string> open_and_read(const Tree& tree, std::vector<Step> script, bool silent = false) {
  std::filesystem::remove(tree / "nbd");
  asio::io_context io;
  LocalBlockDevices devices;
  std::optional<Peer> peer(std::in_place, tree, std::move(script), silent);
  const Deadline deadline = silent ? at_once() : soon();
  auto device = run_task(io, devices.open(peer->path(), deadline));
  if (!device) return fail(device.error());
  auto answer = run_task(io, (*device)->read(0, 8, deadline));
  if (!answer && answer.error().code != Errc::io) {
    EXPECT_EQ(run_task(io, (*device)->read(0, 8, deadline)).error().code, Errc::unreachable)
        << "never in mid-stream again";
  }
  return answer;
}

TEST(Nbd, AWholeScriptWorks) {
  Tree tree;
  auto script = opened();
  script.push_back({kRequestBytes, reply(0) + "12345678"});
  EXPECT_EQ(open_and_read(tree, script).value(), "12345678");
}

TEST(Nbd, AnOldServerIsAskedTheOldWay) {
  Tree tree;
  for (unsigned flags : {1u, 3u}) {
    const std::string padding(flags == 1 ? 124 : 0, '\0');
    std::vector<Step> script = {{0, greeting(flags)},
                                {kGoBytes, option_reply(nbd::kRepErrUnsupported, "what?")},
                                {16, big(kSize, 8) + big(1, 2) + padding},
                                {kRequestBytes, reply(0) + "12345678"}};
    EXPECT_EQ(open_and_read(tree, script).value(), "12345678");
  }
}

TEST(Nbd, EachStepCutShortIsAnErrorAndNeverAHang) {  // F1, F5
  Tree tree;
  auto whole = opened();
  whole.push_back({kRequestBytes, reply(0) + "12345678"});
  int cases = 0;
  for (std::size_t step = 0; step < whole.size(); ++step) {
    for (std::size_t keep = 0; keep < whole[step].send.size(); keep += 3, ++cases) {
      auto script = whole;
      script.resize(step + 1);
      script[step].send.resize(keep);
      auto closed = open_and_read(tree, script);
      ASSERT_FALSE(closed) << step << ' ' << keep;
      EXPECT_EQ(closed.error().code, Errc::unreachable) << closed.error().describe();
    }
  }
  for (std::size_t step = 0; step <= whole.size(); ++step, ++cases) {
    auto script = whole;
    script.resize(step);
    if (step == whole.size()) script[step - 1].send = reply(0) + "1234";
    auto silent = open_and_read(tree, script, true);
    ASSERT_FALSE(silent) << step;
    EXPECT_EQ(silent.error().code, Errc::timeout) << silent.error().describe();
    EXPECT_EQ(silent.error().outcome, Outcome::unknown);
  }
  EXPECT_GT(cases, 30);
}

TEST(Nbd, WhatBreaksTheProtocolIsRefused) {  // P4, F5
  Tree tree;
  const std::string ack = option_reply(nbd::kRepAck, "");
  std::string other_option = ack;
  other_option[11] = 3;
  std::string endless;
  for (int i = 0; i < 70; ++i) endless += option_reply(nbd::kRepInfo, big(3, 2) + "text");
  const std::vector<std::pair<const char*, std::vector<Step>>> bad = {
      {"no NBD", {{0, std::string(18, 'x')}}},
      {"old style", {{0, "NBDMAGIC" + big(0x420281861253, 8) + big(3, 2)}}},
      {"not fixed", {{0, greeting(0)}}},
      {"wrong magic", {{0, greeting()}, {kGoBytes, std::string(20, 'x')}}},
      {"other option", {{0, greeting()}, {kGoBytes, other_option}}},
      {"no size", {{0, greeting()}, {kGoBytes, ack}}},
      {"endless", {{0, greeting()}, {kGoBytes, endless}}},
      {"too long",
       {{0, greeting()}, {kGoBytes, big(0x3e889045565a9, 8) + big(7, 4) + big(3, 4) + big(1u << 30, 4)}}},
      {"impossible size", {{0, greeting()}, {kGoBytes, info(UINT64_MAX) + ack}}},
      {"bad reply magic", {{0, greeting()}, {kGoBytes, info() + ack}, {kRequestBytes, std::string(24, 'x')}}},
      {"other cookie",
       {{0, greeting()}, {kGoBytes, info() + ack}, {kRequestBytes, reply(0, 2) + "12345678"}}}};
  for (const auto& [name, script] : bad) {
    auto answer = open_and_read(tree, script);
    ASSERT_FALSE(answer) << name;
    EXPECT_EQ(answer.error().code, Errc::protocol) << name << ": " << answer.error().describe();
  }
  auto refused =
      open_and_read(tree, {{0, greeting()}, {kGoBytes, option_reply(0x80000006u, "unknown export")}});
  EXPECT_EQ(refused.error().code, Errc::not_found);
}

TEST(Nbd, AServersErrorLeavesTheStreamInStep) {
  Tree tree;
  auto script = opened();
  script.push_back({kRequestBytes, reply(5)});
  script.push_back({kRequestBytes, reply(28, 2)});
  script.push_back({kRequestBytes, reply(0, 3) + "12345678"});
  asio::io_context io;
  LocalBlockDevices devices;
  Peer peer(tree, script, false);
  auto device = run_task(io, devices.open(peer.path(), soon()));
  ASSERT_TRUE(device) << device.error().describe();
  auto first = run_task(io, (*device)->read(0, 8, soon()));
  EXPECT_EQ(first.error().code, Errc::io);
  EXPECT_EQ(first.error().native, 5);
  EXPECT_EQ(run_task(io, (*device)->write_zeroes(0, 8, soon())).error().code, Errc::no_space);
  EXPECT_EQ(run_task(io, (*device)->read(0, 8, soon())).value(), "12345678");
}

TEST(Nbd, OnlyWhatTheServerOffersIsAsked) {
  Tree tree;
  asio::io_context io;
  LocalBlockDevices devices;
  {
    Peer peer(tree,
              {{0, greeting()},
               {kGoBytes, info(kSize, 1) + option_reply(nbd::kRepAck, "")},
               {kRequestBytes + 8192, reply(0)}},
              false);
    auto device = run_task(io, devices.open(peer.path(), soon()));
    ASSERT_TRUE(device) << device.error().describe();
    EXPECT_TRUE(run_task(io, (*device)->flush(soon())));
    EXPECT_EQ(run_task(io, (*device)->discard(0, 8, soon())).error().code, Errc::not_supported);
    EXPECT_TRUE(run_task(io, (*device)->write_zeroes(0, 8192, soon()))) << "as data";
  }
  std::filesystem::remove(tree / "nbd");
  Peer peer(tree, {{0, greeting()}, {kGoBytes, info(kSize, 3) + option_reply(nbd::kRepAck, "")}}, false);
  auto device = run_task(io, devices.open(peer.path(), soon()));
  ASSERT_TRUE(device) << device.error().describe();
  for (auto& refused :
       {run_task(io, (*device)->write(0, "x", soon())), run_task(io, (*device)->discard(0, 1, soon())),
        run_task(io, (*device)->write_zeroes(0, 1, soon()))})
    EXPECT_EQ(refused.error().code, Errc::not_permitted);
}

TEST(Nbd, SocketsThatDoNotAnswer) {
  Tree tree;
  asio::io_context io;
  LocalBlockDevices devices;
  { Unix::acceptor gone(io, Unix::endpoint(tree / "nbd")); }
  auto refused = run_task(io, devices.open(tree / "nbd", soon()));
  EXPECT_EQ(refused.error().code, Errc::unreachable);
  EXPECT_EQ(refused.error().outcome, Outcome::not_done);
}

}  // namespace
}  // namespace vnvme::host
