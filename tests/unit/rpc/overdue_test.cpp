// When a silent peer is asked, when it is called dead, and how long one answer is waited for.
#include "rpc/overdue.hpp"

#include <gtest/gtest.h>

namespace vnvme::rpc {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;
const MonoClock::time_point kStart{};
using Ids = std::vector<std::uint64_t>;

class OverdueTest : public testing::Test {
 protected:
  Overdue overdue{Overdue::Options{.probe = seconds(10), .least = seconds(10), .most = seconds(600)}};
  MonoClock::time_point at(int s) { return kStart + seconds(s); }
};

TEST_F(OverdueTest, NothingIsDueWhileNothingIsOverdue) {
  EXPECT_FALSE(overdue.next());
  auto verdict = overdue.look(at(1000));
  EXPECT_FALSE(verdict.ask || verdict.dead);
  EXPECT_TRUE(verdict.given_up.empty());
}

TEST_F(OverdueTest, ThePeerIsAskedOnceWhenADeadlineIsMissed) {
  overdue.add(1, at(5), seconds(5));
  EXPECT_EQ(overdue.next(), at(5));
  EXPECT_TRUE(overdue.look(at(5)).ask);
  EXPECT_FALSE(overdue.look(at(5)).ask);
  overdue.add(2, at(6), seconds(5));
  EXPECT_FALSE(overdue.look(at(6)).ask) << "one question is enough";
  EXPECT_EQ(overdue.next(), at(15));
}

TEST_F(OverdueTest, SeveralMissedDeadlinesAreOneQuestion) {
  overdue.add(1, at(5), seconds(5));
  overdue.add(2, at(5), seconds(5));
  EXPECT_TRUE(overdue.look(at(5)).ask);
  EXPECT_FALSE(overdue.look(at(5)).ask);
  EXPECT_EQ(overdue.size(), 2u);
}

TEST_F(OverdueTest, ACallerThatLeftEarlyMakesNobodySuspectBeforeTheDeadline) {
  overdue.add(1, at(60), seconds(60));
  EXPECT_EQ(overdue.next(), at(60));
  EXPECT_FALSE(overdue.look(at(59)).ask);
  overdue.heard(at(59));
  EXPECT_TRUE(overdue.look(at(60)).ask) << "what was heard before the deadline says nothing about it";
}

TEST_F(OverdueTest, SilenceToTheQuestionIsDeath) {
  overdue.add(1, at(5), seconds(5));
  EXPECT_TRUE(overdue.look(at(5)).ask);
  EXPECT_FALSE(overdue.look(at(15) - nanoseconds(1)).dead);
  auto verdict = overdue.look(at(15));
  EXPECT_TRUE(verdict.dead);
  EXPECT_TRUE(verdict.given_up.empty()) << "the end of the connection says what became of them";
}

TEST_F(OverdueTest, AnyAnswerIsLife) {
  overdue.add(1, at(5), seconds(5));
  EXPECT_TRUE(overdue.look(at(5)).ask);
  overdue.heard(at(14));
  EXPECT_FALSE(overdue.look(at(14)).dead);
  auto verdict = overdue.look(at(1000));
  EXPECT_FALSE(verdict.dead || verdict.ask);
}

TEST_F(OverdueTest, OneThatLivesIsWaitedForAsLongAgainAndThenGivenUp) {
  overdue.add(1, at(40), seconds(40));
  overdue.look(at(40));
  overdue.heard(at(40));
  EXPECT_EQ(overdue.next(), at(80));
  EXPECT_TRUE(overdue.look(at(80) - nanoseconds(1)).given_up.empty());
  EXPECT_EQ(overdue.look(at(80)).given_up, Ids{1});
  EXPECT_EQ(overdue.size(), 0u);
  EXPECT_TRUE(overdue.look(at(90)).given_up.empty()) << "said once";
}

TEST_F(OverdueTest, TheWaitHasALowerAndAnUpperBound) {
  overdue.add(1, at(1), nanoseconds(1));
  overdue.add(2, at(1), std::chrono::hours(24));
  overdue.heard(at(1));
  EXPECT_TRUE(overdue.look(at(11) - nanoseconds(1)).given_up.empty());
  EXPECT_EQ(overdue.look(at(11)).given_up, Ids{1});
  EXPECT_EQ(overdue.next(), at(601));
  EXPECT_EQ(overdue.look(at(601)).given_up, Ids{2});
}

TEST_F(OverdueTest, WhileThePeerIsSuspectNothingIsGivenUp) {
  overdue.add(1, at(5), seconds(1));
  overdue.heard(at(5));
  overdue.add(2, at(9), seconds(1));
  EXPECT_TRUE(overdue.look(at(9)).ask);
  EXPECT_EQ(overdue.look(at(15)).given_up, Ids{1}) << "this one's peer was heard";
  EXPECT_TRUE(overdue.look(at(19)).dead);
}

TEST_F(OverdueTest, ALateAnswerEndsTheWait) {
  overdue.add(1, at(5), seconds(5));
  overdue.look(at(5));
  overdue.heard(at(7));
  overdue.answered(1);
  EXPECT_FALSE(overdue.next());
  EXPECT_TRUE(overdue.look(at(100)).given_up.empty());
}

TEST_F(OverdueTest, ANewMissIsANewQuestion) {
  overdue.add(1, at(5), seconds(60));
  EXPECT_TRUE(overdue.look(at(5)).ask);
  overdue.heard(at(6));
  overdue.add(2, at(20), seconds(60));
  EXPECT_TRUE(overdue.look(at(20)).ask);
  EXPECT_EQ(overdue.next(), at(30));
}

TEST_F(OverdueTest, ClearForgetsAll) {
  overdue.add(1, at(5), seconds(5));
  overdue.look(at(5));
  overdue.clear();
  EXPECT_FALSE(overdue.next());
  EXPECT_FALSE(overdue.look(at(100)).dead);
}

}  // namespace
}  // namespace vnvme::rpc
