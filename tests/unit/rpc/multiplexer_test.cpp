#include "rpc/multiplexer.hpp"

#include <gtest/gtest.h>

#include "core/json.hpp"
#include "rpc/session.hpp"

namespace vnvme::rpc {
namespace {

using std::chrono::seconds;
const MonoClock::time_point kStart{};

class Mux : public testing::Test {
 protected:
  std::uint64_t submit(MonoClock::duration deadline = seconds(10)) {
    auto id = mux.submit("m", nullptr, kStart + deadline);
    EXPECT_TRUE(id);
    return id ? *id : 0;
  }
  void write_all() {
    auto bytes = mux.stage();
    mux.wrote(bytes.size());
  }
  Result<std::optional<Finished>> answer(std::uint64_t id) {
    return mux.answer(R"({"jsonrpc":"2.0","id":)" + std::to_string(id) + R"(,"result":true})", &late);
  }
  Multiplexer mux{
      Multiplexer::Options{.first_id = 100, .max_requests = 4, .max_in_flight = 2, .max_abandoned = 3}};
  std::uint64_t late = 0;
};

TEST_F(Mux, ARequestGoesFromWaitingOverStagedToWritten) {
  auto id = submit();
  EXPECT_EQ(id, 100u);
  EXPECT_EQ(mux.status(id), Multiplexer::Status::waiting);
  auto bytes = mux.stage();
  EXPECT_EQ(mux.status(id), Multiplexer::Status::staged);
  mux.wrote(bytes.size() - 1);
  EXPECT_EQ(mux.status(id), Multiplexer::Status::staged);
  EXPECT_TRUE(mux.has_bytes());
  EXPECT_EQ(mux.stage().size(), 1u) << "the rest comes before anything new";
  mux.wrote(1);
  EXPECT_EQ(mux.status(id), Multiplexer::Status::written);
  auto finished = answer(id);
  ASSERT_TRUE(finished && *finished);
  EXPECT_EQ((*finished)->id, id);
  EXPECT_FALSE(mux.status(id));
}

TEST_F(Mux, AnswersMayComeInAnyOrder) {
  auto a = submit(), b = submit();
  write_all();
  EXPECT_EQ((*answer(b))->id, b);
  EXPECT_EQ((*answer(a))->id, a);
}

TEST_F(Mux, OnlySoManyInFlight) {
  submit(), submit();
  auto c = submit();
  write_all();
  EXPECT_EQ(mux.status(c), Multiplexer::Status::waiting);
  EXPECT_FALSE(mux.has_bytes());
  EXPECT_TRUE(mux.stage().empty());
  ASSERT_TRUE(*answer(100));
  EXPECT_TRUE(mux.has_bytes());
  EXPECT_FALSE(mux.stage().empty());
}

TEST_F(Mux, TooManyRequestsAreRefusedAsBusy) {
  for (int i = 0; i < 4; ++i) submit();
  auto refused = mux.submit("m", nullptr, kStart + seconds(1));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::busy);
  EXPECT_EQ(refused.error().outcome, Outcome::not_done);
}

TEST_F(Mux, ADeadlineBeforeSendingIsNotDone) {
  submit(), submit();
  auto waiting = submit(seconds(1));
  write_all();
  auto finished = mux.expire(kStart + seconds(1));
  ASSERT_EQ(finished.size(), 1u);
  EXPECT_EQ(finished[0].id, waiting);
  EXPECT_EQ(finished[0].answer.error().code, Errc::timeout);
  EXPECT_EQ(finished[0].answer.error().outcome, Outcome::not_done);
  EXPECT_FALSE(mux.owed()) << "the peer missed nothing";
}

TEST_F(Mux, ADeadlineAfterSendingIsUnknown) {
  auto id = submit(seconds(1));
  write_all();
  EXPECT_TRUE(mux.expire(kStart + seconds(1) - std::chrono::nanoseconds(1)).empty());
  auto finished = mux.expire(kStart + seconds(1));
  ASSERT_EQ(finished.size(), 1u);
  EXPECT_EQ(finished[0].answer.error().outcome, Outcome::unknown);
  EXPECT_TRUE(mux.is_abandoned(id));
  EXPECT_TRUE(mux.owed());
}

TEST_F(Mux, AStagedRequestIsUnknownToo) {
  submit(seconds(1));
  mux.stage();
  EXPECT_EQ(mux.expire(kStart + seconds(2))[0].answer.error().outcome, Outcome::unknown);
}

TEST_F(Mux, LateDuplicateAndUnknownAnswersAreCountedAndDropped) {
  auto id = submit(seconds(1)), other = submit();
  write_all();
  mux.expire(kStart + seconds(1));
  auto dropped = answer(id);
  ASSERT_TRUE(dropped);
  EXPECT_FALSE(*dropped);
  EXPECT_EQ(late, id);
  EXPECT_FALSE(mux.owed());
  ASSERT_TRUE(*answer(other));
  EXPECT_FALSE(*answer(other));
  EXPECT_FALSE(*answer(id));
  EXPECT_FALSE(*answer(7));
  EXPECT_FALSE(*answer(5000));
  EXPECT_FALSE(*mux.answer(R"({"id":null,"error":{"code":-32600,"message":"Invalid request"}})", &late));
  EXPECT_EQ(mux.counters().late, 1u);
  EXPECT_EQ(mux.counters().duplicate, 2u);
  EXPECT_EQ(mux.counters().unknown, 3u);
}

TEST_F(Mux, WhatIsForgottenMakesRoomOnceAndIsStillKnownAsLate) {
  auto a = submit(seconds(1)), b = submit(seconds(1));
  auto c = submit(), d = submit();
  write_all();
  mux.expire(kStart + seconds(1));
  EXPECT_TRUE(mux.stage().empty()) << "two unanswered ones still occupy the peer";
  mux.forget(c);
  EXPECT_TRUE(mux.stage().empty()) << "only what was given up can be forgotten";
  mux.forget(a), mux.forget(a);
  write_all();
  EXPECT_EQ(mux.status(c), Multiplexer::Status::written);
  EXPECT_EQ(mux.status(d), Multiplexer::Status::waiting);
  ASSERT_TRUE(answer(a));
  EXPECT_EQ(late, a);
  write_all();
  EXPECT_EQ(mux.status(d), Multiplexer::Status::waiting) << "its room was given away before";
  ASSERT_TRUE(answer(b));
  write_all();
  EXPECT_EQ(mux.status(d), Multiplexer::Status::written);
}

TEST_F(Mux, AnAnswerToWhatWasNeverSentIsNotBelieved) {
  submit(), submit();
  auto waiting = submit();
  write_all();
  auto dropped = answer(waiting);
  ASSERT_TRUE(dropped);
  EXPECT_FALSE(*dropped);
  EXPECT_EQ(mux.status(waiting), Multiplexer::Status::waiting);
  EXPECT_EQ(mux.counters().unknown, 1u);
}

TEST_F(Mux, ClosingTellsWrittenFromUnwritten) {
  submit(), submit();
  auto waiting = submit();
  write_all();
  auto all = mux.close(Error{.code = Errc::unreachable, .text = "gone"});
  ASSERT_EQ(all.size(), 3u);
  for (const auto& finished : all)
    EXPECT_EQ(finished.answer.error().outcome, finished.id == waiting ? Outcome::not_done : Outcome::unknown);
  EXPECT_EQ(mux.pending(), 0u);
  EXPECT_FALSE(mux.owed());
}

TEST_F(Mux, AViolationIsAnErrorOfTheConnection) {
  submit();
  write_all();
  EXPECT_FALSE(mux.answer("{\"id\":}", &late));
  EXPECT_FALSE(mux.answer("[]", &late));
}

TEST_F(Mux, GivenUpRequestsAreBounded) {
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(mux.exhausted());
    auto id = submit();
    write_all();
    mux.abandon(id, Error{.code = Errc::cancelled, .text = "away"});
  }
  // Two were in flight, the third never left: only what the peer owes is remembered.
  EXPECT_FALSE(mux.exhausted());
  EXPECT_FALSE(mux.abandon(9999, Error{}));
  Multiplexer small(Multiplexer::Options{.max_requests = 4, .max_in_flight = 4, .max_abandoned = 2});
  for (int i = 0; i < 2; ++i) {
    EXPECT_FALSE(small.exhausted());
    auto id = small.submit("m", nullptr, kStart + seconds(1));
    small.wrote(small.stage().size());
    small.abandon(*id, Error{.code = Errc::cancelled, .text = "away"});
  }
  EXPECT_TRUE(small.exhausted());
}

TEST_F(Mux, WhatCannotBeEncodedTakesNoId) {
  auto refused = mux.submit("m", Json::array({1}), kStart + seconds(1));
  ASSERT_FALSE(refused);
  EXPECT_EQ(mux.pending(), 0u);
  EXPECT_EQ(submit(), 100u);
}

TEST_F(Mux, AGivenUpRequestMakesRoomOnlyWhenItsAnswerComes) {
  auto a = submit(seconds(1));
  submit();
  auto c = submit();
  write_all();
  mux.expire(kStart + seconds(1));
  EXPECT_TRUE(mux.stage().empty()) << "the peer is still at it";
  EXPECT_FALSE(*answer(a));
  EXPECT_FALSE(mux.stage().empty());
  EXPECT_EQ(mux.status(c), Multiplexer::Status::staged);
  write_all();
  mux.close(Error{.code = Errc::unreachable, .text = "gone"});
  EXPECT_FALSE(*answer(a)) << "nothing is owed after the end";
  submit(), submit();
  write_all();
  EXPECT_EQ(mux.status(103), Multiplexer::Status::written) << "and nothing counts as in flight";
  EXPECT_EQ(mux.status(104), Multiplexer::Status::written);
}

TEST(SessionTable, EveryStateAndEvent) {
  using S = SessionState;
  using E = SessionEvent;
  for (int s = 0; s <= static_cast<int>(S::closed); ++s) {
    for (int e = 0; e <= static_cast<int>(E::stop); ++e) {
      // Bring a machine to that state by the shortest way.
      SessionMachine machine;
      std::vector<E> path;
      switch (static_cast<S>(s)) {
        case S::idle:
          break;
        case S::connecting:
          path = {E::start};
          break;
        case S::probing:
          path = {E::start, E::connected};
          break;
        case S::up:
          path = {E::start, E::connected, E::probed};
          break;
        case S::resting:
          path = {E::start, E::connect_failed};
          break;
        case S::closed:
          path = {E::stop};
          break;
      }
      for (auto event : path) machine.on(event);
      ASSERT_EQ(machine.state(), static_cast<S>(s));
      auto event = static_cast<E>(e);
      const SessionRule* rule = nullptr;
      for (const auto& r : kSessionTable)
        if (r.state == machine.state() && r.event == event) rule = &r;
      auto before = machine.state();
      auto action = machine.on(event);
      if (before == S::closed || event == E::stop) {
        EXPECT_EQ(machine.state(), S::closed);
        EXPECT_EQ(action, SessionAction::stop);
      } else if (rule != nullptr) {
        EXPECT_EQ(machine.state(), rule->next);
        EXPECT_EQ(action, rule->action);
      } else {
        EXPECT_EQ(machine.state(), before) << to_string(before) << " " << to_string(event);
        EXPECT_EQ(action, SessionAction::none);
      }
    }
  }
}

TEST(SessionTable, StatesAndEventsHaveTheirNames) {
  EXPECT_EQ(to_string(SessionState::idle), "idle");
  EXPECT_EQ(to_string(SessionState::closed), "closed");
  EXPECT_EQ(to_string(SessionEvent::start), "start");
  EXPECT_EQ(to_string(SessionEvent::stop), "stop");
}

TEST(SessionTable, EveryStateButTheLastHasAWayOnAndBackUp) {
  for (auto state : {SessionState::idle, SessionState::connecting, SessionState::probing, SessionState::up,
                     SessionState::resting})
    EXPECT_TRUE(std::any_of(kSessionTable.begin(), kSessionTable.end(), [state](const auto& r) {
      return r.state == state;
    })) << to_string(state);
  SessionMachine machine;
  for (auto event : {SessionEvent::start, SessionEvent::connected, SessionEvent::probed, SessionEvent::lost,
                     SessionEvent::rested, SessionEvent::connected, SessionEvent::probed})
    machine.on(event);
  EXPECT_EQ(machine.state(), SessionState::up);
}

TEST(Backoff, DoublesToItsBoundWithJitterAndResets) {
  Backoff backoff({.first = std::chrono::milliseconds(100), .most = std::chrono::seconds(1), .seed = 42});
  auto base = std::chrono::milliseconds(100);
  for (int i = 0; i < 20; ++i) {
    auto pause = backoff.next();
    EXPECT_GE(pause, base / 2);
    EXPECT_LE(pause, base);
    base = std::min<std::chrono::milliseconds>(base * 2, std::chrono::milliseconds(1000));
  }
  backoff.reset();
  EXPECT_LE(backoff.next(), std::chrono::milliseconds(100));
  Backoff one({.seed = 1}), two({.seed = 99});
  bool differ = false;
  for (int i = 0; i < 8; ++i) differ |= one.next() != two.next();
  EXPECT_TRUE(differ) << "two clients must not knock in step";
}

}  // namespace
}  // namespace vnvme::rpc
