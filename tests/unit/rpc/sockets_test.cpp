// Real sockets of the kernel; where a deadline matters the clock stands still.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/detached.hpp>

#include "rpc/asio/stream.hpp"
#include "support/drive.hpp"

namespace vnvme::rpc {
namespace {

using std::chrono::seconds;
using Connected = Result<std::unique_ptr<Stream>>;

class TcpTest : public testing::Test {
 protected:
  boost::asio::io_context io;
  int server = -1;
  std::string uri;
  std::vector<int> others;

  void SetUp() override {
    server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(bind(server, reinterpret_cast<sockaddr*>(&where), sizeof where), 0);
    ASSERT_EQ(listen(server, 0), 0);
    socklen_t size = sizeof where;
    ASSERT_EQ(getsockname(server, reinterpret_cast<sockaddr*>(&where), &size), 0);
    uri = "tcp:127.0.0.1:" + std::to_string(ntohs(where.sin_port));
  }
  void TearDown() override {
    for (int fd : others) close(fd);
    close(server);
  }
  // More connections than the server's queue takes: from then on nobody is answered.
  void fill_the_queue() {
    sockaddr_in where{};
    socklen_t size = sizeof where;
    ASSERT_EQ(getsockname(server, reinterpret_cast<sockaddr*>(&where), &size), 0);
    for (int i = 0; i < 4; ++i) {
      others.push_back(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      connect(others.back(), reinterpret_cast<sockaddr*>(&where), sizeof where);
    }
  }
  Connected connect_now(MonoClock::duration limit = seconds(60)) {
    auto connector = make_connector(io, uri);
    EXPECT_TRUE(connector);
    Connected out = fail(Errc::internal, "hangs");
    boost::asio::co_spawn(
        io, [&connector, limit] { return (*connector)->connect(Deadline::after(limit)); },
        [&out](std::exception_ptr e, Connected c) {
          if (!e) out = std::move(c);
        });
    io.restart();
    io.run();
    return out;
  }
};

TEST_F(TcpTest, ConnectsWithoutDelays) {
  auto stream = connect_now();
  ASSERT_TRUE(stream) << stream.error().describe();
  int peer = accept(server, nullptr, nullptr);
  ASSERT_GE(peer, 0);
  std::optional<Result<std::size_t>> wrote;
  boost::asio::co_spawn(
      io, [&stream] { return (*stream)->write_some("ping"); },
      [&wrote](std::exception_ptr, Result<std::size_t> n) { wrote = n; });
  io.restart();
  io.run();
  ASSERT_TRUE(wrote && *wrote);
  char buffer[8];
  EXPECT_EQ(read(peer, buffer, sizeof buffer), 4);
  close(peer);
}

TEST_F(TcpTest, APeerThatDoesNotAnswerIsATimeout) {
  fill_the_queue();
  auto stream = connect_now(seconds(0));
  ASSERT_FALSE(stream);
  EXPECT_EQ(stream.error().code, Errc::timeout);
  EXPECT_EQ(stream.error().outcome, Outcome::not_done);
}

TEST_F(TcpTest, WithoutADescriptorLeftItSaysSo) {
  auto before_that = connect_now();  // the event loop has its own descriptors from now on
  ASSERT_TRUE(before_that);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  int lowest = dup(server);
  ASSERT_GE(lowest, 0);
  close(lowest);
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(lowest);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  auto stream = connect_now();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_FALSE(stream);
  EXPECT_EQ(stream.error().code, Errc::unreachable);
  EXPECT_EQ(stream.error().native, EMFILE);
}

TEST_F(TcpTest, ClosingEndsWhatIsAwaited) {
  auto stream = connect_now();
  ASSERT_TRUE(stream);
  std::optional<Result<std::size_t>> got;
  char buffer[8];
  boost::asio::co_spawn(
      io, [&stream, &buffer] { return (*stream)->read_some(std::span<char>(buffer)); },
      [&got](std::exception_ptr, Result<std::size_t> n) { got = std::move(n); });
  test::settle(io);
  EXPECT_FALSE(got);
  (*stream)->close();
  (*stream)->close();
  test::settle(io);
  ASSERT_TRUE(got);
  ASSERT_FALSE(*got);
  EXPECT_EQ(got->error().code, Errc::cancelled);
}

TEST_F(TcpTest, ABrokenPipeIsUnreachable) {
  auto stream = connect_now();
  ASSERT_TRUE(stream);
  int peer = accept(server, nullptr, nullptr);
  linger reset{.l_onoff = 1, .l_linger = 0};
  ASSERT_EQ(setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
  close(peer);
  std::optional<Result<std::size_t>> wrote;
  boost::asio::co_spawn(
      io, [&stream] { return (*stream)->write_some("ping"); },
      [&wrote](std::exception_ptr, Result<std::size_t> n) { wrote = std::move(n); });
  io.restart();
  io.run();
  ASSERT_TRUE(wrote);
  ASSERT_FALSE(*wrote);
  EXPECT_EQ(wrote->error().code, Errc::unreachable);
  EXPECT_TRUE(wrote->error().native);
}

}  // namespace
}  // namespace vnvme::rpc
