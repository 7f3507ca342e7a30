// One connection by itself: what becomes of a request, and of what it holds, however it ends.
#include "rpc/asio/connection.hpp"

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include "core/json.hpp"
#include "support/dialogue.hpp"

namespace vnvme::rpc {
namespace {

using std::chrono::seconds;
using test::Fault;
using test::Peer;
using test::Seen;

class ConnectionTest : public testing::Test {
 protected:
  test::StillClock clock;
  boost::asio::io_context io;
  Peer peer{io, [](const Seen& seen) -> std::optional<std::string> {
              if (seen.method == "hold") return std::nullopt;
              return "true";
            }};
  std::shared_ptr<Connection> connection;
  int closed = 0;

  void TearDown() override {
    if (connection) connection->close(Error{.code = Errc::cancelled, .text = "the test is over"});
    test::settle(io);
  }
  void begin(Connection::Options options = {}) {
    connection = std::make_shared<Connection>(io, std::make_unique<test::MemoryStream>(peer, 0), options);
    connection->start([this] { ++closed; });
    test::settle(io);
  }
  Result<Answer> call(std::string method, MonoClock::duration limit = seconds(10), Json params = nullptr,
                      Keep keep = nullptr) {
    auto done = test::drive<Result<Answer>>(
        io, [=, this] { return connection->call(method, params, Deadline::after(limit), keep); });
    EXPECT_TRUE(done) << "the call never ended";
    return done ? std::move(*done) : fail(Errc::internal, "hangs");
  }
  void say_answer(std::uint64_t id) { peer.say(0, R"({"id":)" + std::to_string(id) + R"(,"result":1})"); }
};

TEST_F(ConnectionTest, WhatIsTooLateOrUnspeakableIsNeverSent) {
  begin();
  auto late = call("m", seconds(0));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Errc::timeout);
  EXPECT_EQ(late.error().outcome, Outcome::not_done);
  auto list = call("m", seconds(1), Json::array({1}));
  ASSERT_FALSE(list);
  EXPECT_EQ(list.error().outcome, Outcome::not_done);
  EXPECT_TRUE(peer.seen.empty());
  EXPECT_TRUE(call("m"));
}

TEST_F(ConnectionTest, AfterTheEndACallIsNotDoneAndSaysWhy) {
  begin();
  connection->close(Error{.code = Errc::unreachable, .outcome = Outcome::unknown, .text = "cable pulled"});
  connection->close(Error{.code = Errc::internal, .text = "once more"});
  EXPECT_EQ(closed, 1);
  auto answer = call("m");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::unreachable);
  EXPECT_EQ(answer.error().text, "cable pulled");
  EXPECT_EQ(answer.error().outcome, Outcome::not_done);
}

TEST_F(ConnectionTest, MayEndBeforeItBegan) {
  connection =
      std::make_shared<Connection>(io, std::make_unique<test::MemoryStream>(peer, 0), Connection::Options{});
  connection->close(Error{.code = Errc::cancelled, .text = "no need"});
  EXPECT_FALSE(connection->open());
  EXPECT_EQ(connection->why_closed().text, "no need");
}

TEST_F(ConnectionTest, AWriteThatFailsEndsIt) {
  begin();
  peer.fault = [](const Seen&) { return Fault::eio; };
  auto answer = call("m");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::unreachable);
  EXPECT_EQ(answer.error().outcome, Outcome::unknown);
  EXPECT_EQ(closed, 1);
}

TEST_F(ConnectionTest, BracketsThatFitAreNotYetAnAnswer) {
  begin();
  peer.say(0, "{\"id\" 1}");
  test::settle(io);
  EXPECT_EQ(closed, 1);
  EXPECT_EQ(connection->why_closed().code, Errc::protocol);
}

TEST_F(ConnectionTest, WhatARequestHoldsIsHeldUntilThePeerIsDone) {
  begin();
  auto held = std::make_shared<int>(1);
  std::weak_ptr<int> watch = held;
  EXPECT_TRUE(call("m", seconds(1), nullptr, std::move(held)));
  EXPECT_TRUE(watch.expired()) << "it was answered";
  held = std::make_shared<int>(2);
  watch = held;
  EXPECT_FALSE(call("hold", seconds(1), nullptr, std::move(held)));
  EXPECT_FALSE(watch.expired()) << "the peer may still be at it";
  // Behind it came the question whether the peer still lives.
  auto hold =
      std::find_if(peer.seen.rbegin(), peer.seen.rend(), [](const Seen& s) { return s.method == "hold"; });
  ASSERT_NE(hold, peer.seen.rend());
  say_answer(hold->id);
  test::settle(io);
  EXPECT_TRUE(watch.expired());
  EXPECT_EQ(connection->counters().late, 1u);
}

TEST_F(ConnectionTest, WhatWasNeverSentHoldsNothing) {
  Connection::Options one_at_a_time;
  one_at_a_time.multiplexer.max_in_flight = 1;
  begin(one_at_a_time);
  EXPECT_FALSE(call("hold", seconds(1)));
  auto held = std::make_shared<int>(1);
  std::weak_ptr<int> watch = held;
  auto second = call("m", seconds(1), nullptr, std::move(held));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().outcome, Outcome::not_done);
  EXPECT_TRUE(watch.expired());
}

TEST_F(ConnectionTest, ItsEndFreesWhatIsHeld) {
  begin();
  auto held = std::make_shared<int>(1);
  std::weak_ptr<int> watch = held;
  EXPECT_FALSE(call("hold", seconds(1), nullptr, std::move(held)));
  peer.hang_up();
  test::settle(io);
  EXPECT_EQ(closed, 1);
  EXPECT_TRUE(watch.expired());
}

TEST_F(ConnectionTest, ACallerThatGivesUpIsToldSo) {
  begin();
  boost::asio::cancellation_signal signal;
  std::optional<Result<Answer>> done;
  boost::asio::co_spawn(
      io, [this] { return connection->call("hold", nullptr, Deadline::after(seconds(5)), nullptr); },
      boost::asio::bind_cancellation_slot(signal.slot(), [&done](std::exception_ptr e, Result<Answer> r) {
        if (!e) done = std::move(r);
      }));
  test::settle(io);
  signal.emit(boost::asio::cancellation_type::terminal);
  test::settle(io);
  ASSERT_TRUE(done);
  ASSERT_FALSE(*done);
  EXPECT_EQ(done->error().code, Errc::cancelled);
  EXPECT_EQ(done->error().outcome, Outcome::unknown);
  EXPECT_TRUE(connection->open()) << "one caller's change of mind is nobody else's trouble";
}

TEST_F(ConnectionTest, APeerThatOwesTooManyAnswersIsGivenUp) {
  Connection::Options few;
  few.multiplexer.max_abandoned = 2;
  begin(few);
  EXPECT_FALSE(call("hold", seconds(1)));
  EXPECT_TRUE(connection->open());
  EXPECT_FALSE(call("hold", seconds(1)));
  test::settle(io);
  EXPECT_FALSE(connection->open());
  EXPECT_NE(connection->why_closed().text.find("owes too many"), std::string::npos);
}

}  // namespace
}  // namespace vnvme::rpc
