// The rim: connection, lanes, session, over memory and over real sockets.
#include "rpc/asio/client.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/detached.hpp>

#include "core/json.hpp"
#include "rpc/asio/lanes.hpp"
#include "support/dialogue.hpp"

namespace vnvme::rpc {
namespace {

using std::chrono::seconds;
using test::Fault;
using test::Peer;
using test::Seen;

class ClientTest : public testing::Test {
 protected:
  test::StillClock clock;
  boost::asio::io_context io;
  Peer peer{io, [](const Seen& seen) -> std::optional<std::string> {
              if (seen.method == "hold") return std::nullopt;
              return "\"" + seen.method + "\"";
            }};
  std::unique_ptr<Client> client;

  void SetUp() override { begin(); }
  void TearDown() override {
    client.reset();
    test::settle(io);
  }
  void begin(Client::Options options = {}) {
    client = std::make_unique<Client>(io, std::make_unique<test::PeerConnector>(peer), options);
    client->start([](Client::Ask ask, Deadline deadline) -> Task<Result<void>> {
      auto answer = co_await ask(0, "probe", deadline);
      if (!answer) co_return fail(answer.error());
      co_return Result<void>();
    });
  }
  Result<std::uint64_t> wait_up(std::uint64_t seen = 0) {
    auto up = test::drive<Result<std::uint64_t>>(
        io, [this, seen] { return client->wait_generation(seen, Deadline::after(seconds(60))); });
    return up ? *up : fail(Errc::internal, "hangs");
  }
  Result<Answer> call(std::string method, MonoClock::duration limit = seconds(10), std::size_t channel = 0) {
    auto done = test::drive<Result<Answer>>(
        io, [=, this] { return client->call(channel, method, nullptr, Deadline::after(limit)); });
    EXPECT_TRUE(done) << "the call never ended";
    return done ? std::move(*done) : fail(Errc::internal, "hangs");
  }
};

TEST_F(ClientTest, ComesUpAndAnswers) {
  ASSERT_TRUE(wait_up());
  EXPECT_TRUE(client->connected());
  EXPECT_EQ(client->generation(), 1u);
  EXPECT_EQ(client->trouble(), "");
  auto answer = call("hello");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->result(), "\"hello\"");
  EXPECT_EQ(peer.connections, 2u);
}

TEST_F(ClientTest, BeforeTheSessionIsUpACallFailsAtOnce) {
  peer.refuse = true;
  auto answer = call("hello");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::unreachable);
  EXPECT_EQ(answer.error().outcome, Outcome::not_done);
  EXPECT_NE(client->trouble().find("memory:peer"), std::string::npos);
}

TEST_F(ClientTest, KeepsTryingWithGrowingPauses) {
  peer.refuse = true;
  auto waited = test::drive<Result<std::uint64_t>>(
      io, [this] { return client->wait_generation(0, Deadline::after(seconds(30))); });
  ASSERT_TRUE(waited);
  ASSERT_FALSE(*waited);
  EXPECT_EQ(waited->error().code, Errc::timeout);
  EXPECT_NE(waited->error().text.find("Connection refused"), std::string::npos);
  peer.refuse = false;
  EXPECT_EQ(wait_up(), 1u);
}

TEST_F(ClientTest, ALostConnectionFailsWhatWasWrittenAsUnknownAndHeals) {
  ASSERT_TRUE(wait_up());
  peer.fault = [](const Seen& seen) { return seen.method == "die" ? Fault::epipe : Fault::none; };
  auto answer = call("die");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().outcome, Outcome::unknown);
  EXPECT_EQ(wait_up(1), 2u);
  EXPECT_TRUE(call("hello"));
}

TEST_F(ClientTest, WaitLostCompletesWhenTheSessionIsLost) {
  ASSERT_TRUE(wait_up());
  std::optional<Result<void>> lost;
  boost::asio::co_spawn(
      io, [this]() { return client->wait_lost(Deadline::after(seconds(60))); },
      [&lost](std::exception_ptr, Result<void> r) { lost = r; });
  test::settle(io);
  EXPECT_FALSE(lost);
  peer.hang_up();
  test::settle(io);
  ASSERT_TRUE(lost);
  EXPECT_TRUE(*lost);
  auto timed =
      test::drive<Result<void>>(io, [this] { return client->wait_lost(Deadline::after(seconds(1))); });
  EXPECT_TRUE(timed);
}

TEST_F(ClientTest, APeerThatMissesADeadlineAndTheQuestionAfterItIsLeft) {
  ASSERT_TRUE(wait_up());
  peer.fault = [](const Seen&) { return Fault::silence; };
  auto answer = call("hold", seconds(1));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::timeout);
  EXPECT_EQ(answer.error().outcome, Outcome::unknown);
  test::settle(io);
  EXPECT_EQ(peer.seen.back().method, "spdk_get_version");
  EXPECT_TRUE(client->connected());
  MonoClock::advance(seconds(10));
  test::settle(io);
  EXPECT_FALSE(client->connected());
  EXPECT_NE(client->trouble().find("did not even answer"), std::string::npos) << client->trouble();
  peer.fault = [](const Seen&) { return Fault::none; };
  EXPECT_EQ(wait_up(1), 2u);
}

TEST_F(ClientTest, OneThatAnswersTheQuestionIsKept) {
  ASSERT_TRUE(wait_up());
  for (int i = 0; i < 6; ++i) EXPECT_FALSE(call("hold", seconds(1)));
  MonoClock::advance(seconds(60));
  test::settle(io);
  EXPECT_EQ(client->generation(), 1u);
  EXPECT_TRUE(call("hello"));
}

// More requests than may be in flight are never answered: the connection goes on, whatever was lost on it.
TEST_F(ClientTest, LostAnswersDoNotUseUpTheConnection) {
  ASSERT_TRUE(wait_up());
  for (int i = 0; i < 200; ++i) {
    EXPECT_FALSE(call("hold", seconds(1)));
    MonoClock::advance(seconds(10));
    test::settle(io);
  }
  EXPECT_TRUE(call("hello"));
  EXPECT_EQ(client->generation(), 1u);
}

TEST_F(ClientTest, WhatACallHoldsIsLetGoAfterABoundedTime) {
  ASSERT_TRUE(wait_up());
  auto held = [this](MonoClock::duration limit) {
    auto token = std::make_shared<int>(0);
    auto answer = test::drive<Result<Answer>>(io, [this, limit, keep = Keep(token)] {
      return client->call(0, "hold", nullptr, Deadline::after(limit), keep);
    });
    EXPECT_TRUE(answer && !*answer);
    return std::weak_ptr<int>(token);
  };
  auto brief = held(seconds(1));
  MonoClock::advance(seconds(9));
  test::settle(io);
  EXPECT_FALSE(brief.expired()) << "the peer may still be at work on it";
  MonoClock::advance(seconds(1));
  test::settle(io);
  EXPECT_TRUE(brief.expired());
  auto lengthy = held(seconds(30));
  MonoClock::advance(seconds(29));
  test::settle(io);
  EXPECT_FALSE(lengthy.expired());
  MonoClock::advance(seconds(1));
  test::settle(io);
  EXPECT_TRUE(lengthy.expired());
  EXPECT_EQ(client->generation(), 1u);
}

TEST_F(ClientTest, WhatACallHoldsIsLetGoWithItsLateAnswer) {
  ASSERT_TRUE(wait_up());
  auto token = std::make_shared<int>(0);
  std::weak_ptr<int> watch = token;
  auto answer = test::drive<Result<Answer>>(io, [this, keep = Keep(std::move(token))] {
    return client->call(0, "hold", nullptr, Deadline::after(seconds(1)), keep);
  });
  EXPECT_FALSE(*answer);
  EXPECT_FALSE(watch.expired());
  for (const auto& seen : peer.seen)
    if (seen.method == "hold") peer.say(0, R"({"id":)" + std::to_string(seen.id) + R"(,"result":1})");
  test::settle(io);
  EXPECT_TRUE(watch.expired());
}

TEST_F(ClientTest, ALateAnswerIsCountedAndReachesNobody) {
  ASSERT_TRUE(wait_up());
  EXPECT_FALSE(call("hold", seconds(1)));
  std::uint64_t id = 0;
  for (const auto& seen : peer.seen)
    if (seen.method == "hold") id = seen.id;
  peer.say(0, R"({"id":)" + std::to_string(id) + R"(,"result":1})");
  auto answer = call("hello");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->result(), "\"hello\"");
  EXPECT_EQ(client->counters().late, 1u);
}

TEST_F(ClientTest, AnAnswerOnTheOtherConnectionIsNotMatched) {
  ASSERT_TRUE(wait_up());
  std::optional<Result<Answer>> held;
  boost::asio::co_spawn(
      io, [this]() { return client->call(1, "hold", nullptr, Deadline::after(seconds(5))); },
      [&held](std::exception_ptr, Result<Answer> r) { held = std::move(r); });
  test::settle(io);
  auto id = std::to_string(peer.seen.back().id);
  peer.say(0, R"({"id":)" + id + R"(,"result":"wrong"})");
  test::settle(io);
  EXPECT_FALSE(held);
  EXPECT_EQ(client->counters().unknown, 1u);
  peer.say(1, R"({"id":)" + id + R"(,"result":"right"})");
  test::settle(io);
  ASSERT_TRUE(held && *held);
  EXPECT_EQ((*held)->result(), "\"right\"");
}

TEST_F(ClientTest, ShutdownEndsEverythingWithCancelled) {
  ASSERT_TRUE(wait_up());
  std::optional<Result<Answer>> held;
  boost::asio::co_spawn(
      io, [this]() { return client->call(0, "hold", nullptr, Deadline::after(seconds(5))); },
      [&held](std::exception_ptr, Result<Answer> r) { held = std::move(r); });
  test::settle(io);
  client->shutdown();
  test::settle(io);
  ASSERT_TRUE(held);
  ASSERT_FALSE(*held);
  EXPECT_EQ(held->error().code, Errc::cancelled);
  EXPECT_EQ(held->error().outcome, Outcome::unknown);
  EXPECT_EQ(call("hello").error().code, Errc::cancelled);
  EXPECT_EQ(wait_up().error().code, Errc::cancelled);
}

TEST_F(ClientTest, ACallWhoseFrameIsDestroyedLeavesNothingBehind) {
  auto own = std::make_unique<boost::asio::io_context>();
  Peer silent(*own, [](const Seen&) { return std::optional<std::string>("true"); });
  silent.fault = [](const Seen& s) { return s.method == "hold" ? Fault::silence : Fault::none; };
  auto lonely =
      std::make_unique<Client>(*own, std::make_unique<test::PeerConnector>(silent), Client::Options{});
  lonely->start([](Client::Ask, Deadline) -> Task<Result<void>> { co_return Result<void>(); });
  test::settle(*own);
  boost::asio::co_spawn(
      *own, [&lonely]() { return lonely->call(0, "hold", nullptr, Deadline::after(seconds(5))); },
      [](std::exception_ptr, Result<Answer>) {});
  test::settle(*own);
  EXPECT_EQ(silent.seen.size(), 1u);
  lonely.reset();
  own.reset();  // destroys the frames that still wait; the sanitizers watch
}

TEST_F(ClientTest, OneByteAtATimeBothWays) {
  ASSERT_TRUE(wait_up());
  for (auto* stream : peer.open) stream->chunk = 1;
  auto answer = call("hello");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->result(), "\"hello\"");
}

TEST_F(ClientTest, AFramingViolationClosesTheConnection) {
  ASSERT_TRUE(wait_up());
  peer.fault = [](const Seen& seen) { return seen.method == "x" ? Fault::garbage : Fault::none; };
  auto answer = call("x");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::protocol);
  EXPECT_EQ(answer.error().outcome, Outcome::unknown);
  EXPECT_EQ(wait_up(1), 2u);
}

class LanesTest : public testing::Test {
 protected:
  test::StillClock clock;
  boost::asio::io_context io;
  Lanes lanes{io};
  Result<Keep> take(std::string what, MonoClock::duration limit = seconds(5)) {
    auto keep =
        test::drive<Result<Keep>>(io, [=, this] { return lanes.acquire("a", what, Deadline::after(limit)); });
    return keep ? std::move(*keep) : fail(Errc::internal, "hangs");
  }
};

TEST_F(LanesTest, OneHolderAtATimeAndBusyNamesIt) {
  auto first = take("growing volume v");
  ASSERT_TRUE(first);
  auto second = take("deleting volume w");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::busy);
  EXPECT_EQ(second.error().outcome, Outcome::not_done);
  EXPECT_NE(second.error().text.find("growing volume v"), std::string::npos);
  EXPECT_NE(second.error().text.find("5.0 s"), std::string::npos);
  first->reset();
  EXPECT_FALSE(lanes.held("a"));
  EXPECT_TRUE(take("again"));
}

TEST_F(LanesTest, FirstComeFirstServed) {
  auto holder = take("first");
  std::vector<int> order;
  for (int i = 0; i < 3; ++i)
    boost::asio::co_spawn(
        io,
        [this, i, &order]() -> Task<void> {
          auto keep = co_await lanes.acquire("a", std::to_string(i), Deadline::after(seconds(5)));
          if (keep) order.push_back(i);
        },
        boost::asio::detached);
  test::settle(io);
  EXPECT_TRUE(order.empty());
  holder->reset();
  test::settle(io);
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2}));
  EXPECT_FALSE(lanes.held("a"));
}

TEST_F(LanesTest, LanesDoNotBlockEachOther) {
  auto a = take("x");
  auto b =
      test::drive<Result<Keep>>(io, [this] { return lanes.acquire("b", "y", Deadline::after(seconds(1))); });
  EXPECT_TRUE(b && *b);
}

TEST_F(LanesTest, AHoldMayOutliveItsLanes) {
  Keep survivor;
  {
    Lanes inner(io);
    auto keep = test::drive<Result<Keep>>(
        io, [&inner] { return inner.acquire("a", "x", Deadline::after(seconds(1))); });
    ASSERT_TRUE(keep && *keep);
    survivor = std::move(**keep);
  }
  survivor.reset();
}

// Real sockets, on the kernel's clock; nothing waits for time to pass.
class Sockets : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/vnvme-rpc-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    dir = name;
  }
  void TearDown() override {
    unlink((dir + "/s").c_str());
    rmdir(dir.c_str());
  }
  int listen_unix() {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un where{};
    where.sun_family = AF_UNIX;
    std::snprintf(where.sun_path, sizeof where.sun_path, "%s/s", dir.c_str());
    EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&where), sizeof where), 0);
    EXPECT_EQ(listen(fd, 4), 0);
    return fd;
  }
  template <class T>
  std::optional<T> run(std::function<Task<T>()> make) {
    std::optional<T> out;
    boost::asio::co_spawn(io, make, [&out](std::exception_ptr e, T v) {
      if (!e) out = std::move(v);
    });
    io.restart();
    io.run();
    return out;
  }
  boost::asio::io_context io;
  std::string dir;
};

TEST_F(Sockets, ConnectReadWriteAndEnd) {
  int server = listen_unix();
  auto connector = make_connector(io, "unix:" + dir + "/s");
  ASSERT_TRUE(connector);
  auto stream = run<Result<std::unique_ptr<Stream>>>(
      [&] { return (*connector)->connect(Deadline::after(seconds(5))); });
  ASSERT_TRUE(stream && *stream);
  int peer = accept(server, nullptr, nullptr);
  ASSERT_GE(peer, 0);
  auto wrote = run<Result<std::size_t>>([&] { return (**stream)->write_some("ping"); });
  ASSERT_TRUE(wrote && *wrote);
  char buffer[8];
  EXPECT_EQ(read(peer, buffer, sizeof buffer), 4);
  EXPECT_EQ(write(peer, "pong", 4), 4);
  auto got = run<Result<std::size_t>>([&] { return (**stream)->read_some(std::span<char>(buffer)); });
  ASSERT_TRUE(got && *got);
  EXPECT_EQ(**got, 4u);
  close(peer);
  auto end = run<Result<std::size_t>>([&] { return (**stream)->read_some(std::span<char>(buffer)); });
  ASSERT_TRUE(end);
  ASSERT_FALSE(*end);
  EXPECT_EQ(end->error().code, Errc::unreachable);
  close(server);
}

TEST_F(Sockets, NobodyThere) {
  auto connector = make_connector(io, "unix:" + dir + "/s");
  auto stream = run<Result<std::unique_ptr<Stream>>>(
      [&] { return (*connector)->connect(Deadline::after(seconds(5))); });
  ASSERT_TRUE(stream);
  ASSERT_FALSE(*stream);
  EXPECT_EQ(stream->error().code, Errc::unreachable);
}

TEST_F(Sockets, AddressesAreNumericAndChecked) {
  for (const char* good : {"unix:/run/x.sock", "tcp:127.0.0.1:5260", "tcp:[::1]:5260"})
    EXPECT_TRUE(make_connector(io, good)) << good;
  auto longer = "unix:/" + std::string(120, 'x');
  for (const std::string& bad :
       {std::string("unix:"), std::string("unix:relative"), longer, std::string("tcp:localhost:1"),
        std::string("tcp:127.0.0.1"), std::string("tcp:127.0.0.1:0"), std::string("tcp:127.0.0.1:65536"),
        std::string("tcp:127.0.0.1:1x"), std::string("tcp:::1:5"), std::string("tcp:[::1]"),
        std::string("tcp:[::1:5"), std::string("tcp:[]:5"), std::string("tcp:127.0.0.1:x"),
        std::string("tcp:127.0.0.1:"), std::string("http://x"), std::string("")}) {
    auto made = make_connector(io, bad);
    ASSERT_FALSE(made) << bad;
    EXPECT_EQ(made.error().code, Errc::invalid_argument);
  }
}

}  // namespace
}  // namespace vnvme::rpc
