// The session's corners: what happens at the wrong moment, and who is told what.
#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include "core/json.hpp"
#include "rpc/asio/client.hpp"
#include "support/dialogue.hpp"

namespace vnvme::rpc {
namespace {

using std::chrono::seconds;
using test::Peer;
using test::PeerConnector;
using test::Seen;

// A connector whose connects wait until they are let go.
class SlowConnector final : public Connector {
 public:
  SlowConnector(Peer& peer, Timer& gate) : inner_(peer), gate_(gate) {}
  Task<Result<std::unique_ptr<Stream>>> connect(Deadline deadline) override {
    gate_.expires_at(MonoClock::time_point::max());
    try {
      co_await gate_.async_wait(boost::asio::use_awaitable);
    } catch (const boost::system::system_error&) {
    }
    co_return co_await inner_.connect(deadline);
  }
  [[nodiscard]] const std::string& endpoint() const override { return inner_.endpoint(); }

 private:
  PeerConnector inner_;
  Timer& gate_;
};

class SessionTest : public testing::Test {
 protected:
  test::StillClock clock;
  boost::asio::io_context io;
  Peer peer{io, [](const Seen& seen) -> std::optional<std::string> {
              if (seen.method == "hold") return std::nullopt;
              return "true";
            }};
  Timer gate{io};
  std::unique_ptr<Client> client;

  void TearDown() override {
    client.reset();
    gate.cancel();
    test::settle(io);
  }
  void make(bool slow = false) {
    std::unique_ptr<Connector> connector;
    if (slow)
      connector = std::make_unique<SlowConnector>(peer, gate);
    else
      connector = std::make_unique<PeerConnector>(peer);
    client = std::make_unique<Client>(io, std::move(connector), Client::Options{});
  }
  static Client::Probe content() {
    return [](Client::Ask, Deadline) -> Task<Result<void>> { co_return Result<void>(); };
  }
  static Client::Probe asking(std::string method) {
    return [method](Client::Ask ask, Deadline deadline) -> Task<Result<void>> {
      auto answer = co_await ask(0, method, deadline);
      if (!answer) co_return fail(std::move(answer.error()));
      co_return Result<void>();
    };
  }
  void up(Client::Probe probe = content()) {
    make();
    client->start(std::move(probe));
    test::settle(io);
    ASSERT_TRUE(client->connected());
  }
};

// What a coroutine came to, with a way to cancel it.
template <class T>
struct Running {
  boost::asio::cancellation_signal signal;
  std::optional<T> ended;
  void start(boost::asio::io_context& io, std::function<Task<T>()> make) {
    boost::asio::co_spawn(
        io, make, boost::asio::bind_cancellation_slot(signal.slot(), [this](std::exception_ptr e, T value) {
          EXPECT_FALSE(e) << "an exception left a coroutine";
          if (!e) ended = std::move(value);
        }));
    test::settle(io);
  }
};

TEST_F(SessionTest, StoppedBeforeItBeganNothingIsAsked) {
  make();
  client->start(content());
  client->shutdown();
  client->shutdown();
  test::settle(io);
  EXPECT_EQ(peer.connections, 0u);
  EXPECT_EQ(client->state(), SessionState::closed);
  EXPECT_EQ(client->trouble(), "the DPU client was shut down");
}

TEST_F(SessionTest, StoppedWhileConnectingItNeverComesUp) {
  make(true);
  client->start(content());
  test::settle(io);
  EXPECT_EQ(client->state(), SessionState::connecting);
  client->shutdown();
  gate.cancel();
  test::settle(io);
  EXPECT_EQ(client->state(), SessionState::closed);
  EXPECT_EQ(client->generation(), 0u);
}

TEST_F(SessionTest, StoppedWhileProbingItNeverComesUp) {
  make();
  client->start(asking("hold"));
  test::settle(io);
  EXPECT_EQ(client->state(), SessionState::probing);
  client->shutdown();
  test::settle(io);
  EXPECT_EQ(client->state(), SessionState::closed);
  EXPECT_EQ(client->generation(), 0u);
}

TEST_F(SessionTest, StoppedWhileRestingItEnds) {
  peer.refuse = true;
  make();
  client->start(content());
  test::settle(io);
  EXPECT_EQ(client->state(), SessionState::resting);
  client->shutdown();
  test::settle(io);
  EXPECT_EQ(client->state(), SessionState::closed);
}

TEST_F(SessionTest, AProbeThatFailsIsTriedAgain) {
  make();
  int asked = 0;
  client->start([&asked](Client::Ask, Deadline) -> Task<Result<void>> {
    if (++asked < 3) co_return fail(Errc::conflict, "another DPU than before");
    co_return Result<void>();
  });
  test::settle(io);
  EXPECT_EQ(client->state(), SessionState::resting);
  EXPECT_NE(client->trouble().find("another DPU than before"), std::string::npos);
  auto came = test::drive<Result<std::uint64_t>>(
      io, [this] { return client->wait_generation(0, Deadline::after(seconds(60))); });
  ASSERT_TRUE(came && *came);
  EXPECT_EQ(asked, 3);
  EXPECT_EQ(client->trouble(), "");
}

TEST_F(SessionTest, ASessionLostWhileProbingIsNotServed) {
  make();
  int asked = 0;
  // A probe that is content although its connection has gone.
  client->start([this, &asked](Client::Ask ask, Deadline deadline) -> Task<Result<void>> {
    if (++asked > 1) co_return Result<void>();
    peer.hang_up();
    auto first = co_await ask(0, "m", deadline);
    auto second = co_await ask(0, "m", deadline);
    EXPECT_FALSE(first);
    EXPECT_FALSE(second);
    auto beyond = co_await ask(7, "m", deadline);
    EXPECT_FALSE(beyond) << "there is no such channel";
    co_return Result<void>();
  });
  test::settle(io);
  EXPECT_EQ(client->state(), SessionState::resting);
  EXPECT_NE(client->trouble().find("while the DPU was being asked"), std::string::npos) << client->trouble();
  auto came = test::drive<Result<std::uint64_t>>(
      io, [this] { return client->wait_generation(0, Deadline::after(seconds(60))); });
  ASSERT_TRUE(came && *came);
  EXPECT_EQ(**came, 1u) << "the first attempt was no session";
}

TEST_F(SessionTest, WaitingForTheNextSessionEndsAtTheDeadline) {
  up();
  auto same = test::drive<Result<std::uint64_t>>(
      io, [this] { return client->wait_generation(1, Deadline::after(seconds(5))); });
  ASSERT_TRUE(same);
  ASSERT_FALSE(*same);
  EXPECT_EQ(same->error().code, Errc::timeout);
  EXPECT_NE(same->error().text.find("no new session with memory:peer"), std::string::npos);
  auto lost =
      test::drive<Result<void>>(io, [this] { return client->wait_lost(Deadline::after(seconds(5))); });
  ASSERT_TRUE(lost);
  ASSERT_FALSE(*lost);
  EXPECT_EQ(lost->error().code, Errc::timeout);
}

TEST_F(SessionTest, WaitersMayBeCancelled) {
  up();
  Running<Result<std::uint64_t>> next;
  Running<Result<void>> lost;
  next.start(io, [this] { return client->wait_generation(1, Deadline::after(seconds(60))); });
  lost.start(io, [this] { return client->wait_lost(Deadline::after(seconds(60))); });
  next.signal.emit(boost::asio::cancellation_type::terminal);
  lost.signal.emit(boost::asio::cancellation_type::terminal);
  test::settle(io);
  ASSERT_TRUE(next.ended && lost.ended);
  EXPECT_EQ(next.ended->error().code, Errc::cancelled);
  EXPECT_EQ(lost.ended->error().code, Errc::cancelled);
}

TEST_F(SessionTest, ShutdownEndsTheSessionAtOnce) {
  up();
  EXPECT_EQ(client->endpoint(), "memory:peer");
  client->shutdown();
  EXPECT_FALSE(client->connected()) << "not only when its coroutine has run";
  EXPECT_EQ(client->trouble(), "the DPU client was shut down");
}

TEST_F(SessionTest, ShutdownWakesWhoWaits) {
  up();
  Running<Result<std::uint64_t>> next;
  Running<Result<void>> lost;
  next.start(io, [this] { return client->wait_generation(1, Deadline::after(seconds(60))); });
  lost.start(io, [this] { return client->wait_lost(Deadline::after(seconds(60))); });
  EXPECT_FALSE(next.ended || lost.ended);
  client->shutdown();
  test::settle(io);
  ASSERT_TRUE(next.ended && lost.ended);
  EXPECT_EQ(next.ended->error().code, Errc::cancelled);
  EXPECT_EQ(lost.ended->error().code, Errc::cancelled);
}

TEST_F(SessionTest, WithoutASessionItIsLostAlready) {
  make();
  Running<Result<void>> lost;
  lost.start(io, [this] { return client->wait_lost(Deadline::after(seconds(60))); });
  ASSERT_TRUE(lost.ended);
  EXPECT_TRUE(*lost.ended);
}

TEST_F(SessionTest, ACallOnAChannelThatIsNotThereIsServedByTheLast) {
  up();
  auto answer = test::drive<Result<Answer>>(
      io, [this] { return client->call(9, "m", nullptr, Deadline::after(seconds(1))); });
  ASSERT_TRUE(answer);
  ASSERT_TRUE(*answer) << answer->error().describe();
  EXPECT_EQ((*answer)->result(), "true");
}

}  // namespace
}  // namespace vnvme::rpc
