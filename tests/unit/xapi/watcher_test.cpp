// The watcher: whatever is lost, doubled, reordered or restarted, its picture
// ends as XAPI's database is, and the changes that it told lead there.
#include "xapi/watcher.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <random>

#include "fixture.hpp"
#include "support/fake_xapi_records.hpp"

namespace vnvme::xapi {
namespace {

class WatcherTest : public XapiTest {
 protected:
  std::string vm = xapi.add("VM");
  std::unique_ptr<Watcher> watcher = std::make_unique<Watcher>(io, *client, Watcher::Options{});
  std::map<std::string, std::int64_t> told;  // refs that the changes led us to believe in

  Result<Delta> next(MonoClock::duration limit = seconds(20)) {
    auto delta = run<Delta>([this, limit] { return watcher->next(Deadline::after(limit)); });
    if (delta) believe(*delta);
    return delta;
  }
  void believe(const Delta& delta) {
    for (const auto& change : delta.changes) {
      const auto& ref = change.ref.str();
      EXPECT_EQ(change.operation == Event::Operation::added, !told.contains(ref)) << ref;
      EXPECT_EQ(change.before.has_value(), change.operation != Event::Operation::added) << ref;
      if (change.operation == Event::Operation::removed)
        told.erase(ref);
      else
        ++told[ref];
    }
  }
  // Asks until nothing new comes, at most so often; errors are part of life here.
  void catch_up(int tries = 60) {
    for (int quiet = 0; quiet < 2 && tries > 0; --tries) {
      auto delta = next(seconds(5));
      quiet = delta && delta->changes.empty() && !delta->whole ? quiet + 1 : 0;
    }
    EXPECT_GT(tries, 0) << "it never comes to rest";
  }
  void expect_true() {
    const auto& p = watcher->picture();
    EXPECT_EQ(p.vms.size(), xapi.count("VM"));
    EXPECT_EQ(p.vbds.size(), xapi.count("VBD"));
    EXPECT_EQ(p.vdis.size(), xapi.count("VDI"));
    EXPECT_EQ(p.hosts.size() + p.pools.size(), 2u);
    auto known = p.vms.size() + p.vbds.size() + p.vdis.size() + 2;
    EXPECT_EQ(told.size(), known) << "the changes do not lead to the picture";
    for (const auto& [ref, one] : p.vms) {
      const Json* real = xapi.find(ref.str());
      ASSERT_NE(real, nullptr) << ref.str() << " is a ghost";
      Map other = real->at("other_config").get<Map>();
      EXPECT_EQ(one.other_config, other);
    }
    for (const auto& [ref, one] : p.vbds) EXPECT_NE(xapi.find(ref.str()), nullptr) << ref.str();
  }
};

TEST_F(WatcherTest, FirstEverythingThenChanges) {
  EXPECT_FALSE(watcher->current());
  auto first = next();
  ASSERT_TRUE(first) << first.error().describe();
  EXPECT_TRUE(first->whole);
  EXPECT_EQ(first->changes.size(), 3u);
  EXPECT_TRUE(watcher->current());
  xapi.set(vm, "other_config", {{"pci", "0/0000:01:00.0"}});
  auto second = next();
  ASSERT_TRUE(second);
  EXPECT_FALSE(second->whole);
  ASSERT_EQ(second->changes.size(), 1u);
  EXPECT_EQ(second->changes[0].operation, Event::Operation::modified);
  EXPECT_EQ(std::get<Vm>(*second->changes[0].before).other_config, Map{});
  EXPECT_EQ(watcher->picture().vms.at(Ref(vm)).other_config.at("pci"), "0/0000:01:00.0");
  EXPECT_NE(watcher->picture().vm(VmId(xapi.find(vm)->at("uuid").get<std::string>())), nullptr);
  auto vbd = xapi.add("VBD", {{"VM", vm}});
  xapi.remove(vm);
  auto third = next();
  ASSERT_TRUE(third);
  ASSERT_EQ(third->changes.size(), 2u);
  EXPECT_EQ(third->changes[1].operation, Event::Operation::removed);
  EXPECT_EQ(std::get<Vm>(*third->changes[1].before).ref.str(), vm);
  expect_true();
  EXPECT_EQ(watcher->readings(), 1u);
}

TEST_F(WatcherTest, AChangeIsToldWhileItWaits) {
  ASSERT_TRUE(next());
  std::optional<Result<Delta>> delta;
  boost::asio::co_spawn(
      io, [this]() { return watcher->next(Deadline::after(seconds(60))); },
      [&delta](std::exception_ptr, Result<Delta> d) { delta = std::move(d); });
  test::settle(io);
  EXPECT_FALSE(delta);
  xapi.add("VBD", {{"VM", vm}});
  test::settle(io);  // no time passes
  ASSERT_TRUE(delta);
  EXPECT_EQ((*delta)->changes.size(), 1u);
}

TEST_F(WatcherTest, WithoutNewsTheDeadlineGivesAnEmptyDelta) {
  ASSERT_TRUE(next());
  auto calls = xapi.calls.size();
  auto quiet = next(seconds(60));
  ASSERT_TRUE(quiet);
  EXPECT_TRUE(quiet->changes.empty());
  EXPECT_LE(xapi.calls.size() - calls, 20u);
}

TEST_F(WatcherTest, AXapiThatAnswersAtOnceWithoutNewsIsNotAskedInACircle) {
  ASSERT_TRUE(next());
  xapi.fault = [this](const XapiCall& call) {
    if (call.method == "event.from") xapi.set(vm, "snapshot_time", "x");  // a change of nothing that we keep
    return XapiFault::none;
  };
  auto calls = xapi.calls.size();
  auto quiet = next(seconds(10));
  ASSERT_TRUE(quiet);
  EXPECT_TRUE(quiet->changes.empty());
  EXPECT_LE(xapi.calls.size() - calls, 110u);
}

TEST_F(WatcherTest, DeletionsThatXapiForgotAreFoundByTheCounts) {
  auto vbd = xapi.add("VBD");
  ASSERT_TRUE(next());
  xapi.remove(vbd);
  xapi.forget_deletions();
  xapi.set(vm, "name_label", "new");
  auto delta = next();
  ASSERT_TRUE(delta);
  EXPECT_TRUE(delta->whole);
  expect_true();
  EXPECT_EQ(watcher->readings(), 2u);
}

TEST_F(WatcherTest, MoreDeletionsAtOnceThanXapiRemembers) {
  std::vector<std::string> vdis;
  for (int i = 0; i < 600; ++i) vdis.push_back(xapi.add("VDI"));
  ASSERT_TRUE(next());
  for (const auto& ref : vdis) xapi.remove(ref);
  catch_up();
  expect_true();
  EXPECT_EQ(watcher->picture().vdis.size(), 0u);
}

TEST_F(WatcherTest, EventsLostAndLostSessionsMeanANewReadingAtOnce) {
  ASSERT_TRUE(next());
  xapi.mangle = [](Json& batch) { batch["token"] = "lost"; };
  xapi.set(vm, "name_label", "x");
  ASSERT_TRUE(next());
  xapi.mangle = nullptr;
  auto lost = next();
  ASSERT_TRUE(lost) << lost.error().describe();
  EXPECT_TRUE(lost->whole);
  auto vbd = xapi.add("VBD");
  xapi.end_sessions();
  auto ended = next();
  ASSERT_TRUE(ended);
  EXPECT_TRUE(ended->whole);
  EXPECT_EQ(ended->changes.size(), 1u);
  expect_true();
}

TEST_F(WatcherTest, ASessionThatAnotherCallRenewedVoidsTheToken) {
  auto vbd = xapi.add("VBD");
  ASSERT_TRUE(next());
  xapi.restart();
  xapi.remove(vbd);
  xapi.forget_deletions();
  ASSERT_TRUE(
      run<PowerState>([this] { return client->get_power_state(Ref(vm), Deadline::after(seconds(5))); }));
  EXPECT_EQ(client->session(), 2u);
  auto delta = next();
  ASSERT_TRUE(delta);
  EXPECT_TRUE(delta->whole);
  expect_true();
}

TEST_F(WatcherTest, ARestartThatTakesTimeIsWaitedFor) {
  ASSERT_TRUE(next());
  xapi.restart(8);
  xapi.remove(vm);
  auto error = next();
  ASSERT_FALSE(error);
  EXPECT_EQ(error.error().code, Errc::unreachable);
  EXPECT_FALSE(watcher->current());
  EXPECT_NE(client->trouble().find("HOST_STILL_BOOTING"), std::string::npos);
  catch_up();
  expect_true();
}

TEST_F(WatcherTest, TriesAgainWithGrowingPausesAlsoForAnImpatientCaller) {
  xapi.refuse = true;
  EXPECT_FALSE(next());
  auto began = MonoClock::now();
  xapi.refuse = false;
  int tries = 0;
  while (!watcher->current() && tries < 100) {
    next(milliseconds(20));
    ++tries;
  }
  EXPECT_TRUE(watcher->current());
  EXPECT_GT(MonoClock::now() - began, milliseconds(40));
}

TEST_F(WatcherTest, ReadsAllAgainFromTimeToTime) {
  ASSERT_TRUE(next());
  bool swallow = true;
  xapi.mangle = [&swallow](Json& batch) {
    if (swallow) batch["events"] = Json::array();
    swallow = false;
  };
  xapi.set(vm, "other_config", {{"k", "v"}});  // its event is lost without a trace
  for (int i = 0; i < 40; ++i) next(seconds(20));
  EXPECT_GE(watcher->readings(), 2u);
  expect_true();
}

TEST_F(WatcherTest, AnUnreadableRecordIsNotAnAbsentOne) {
  ASSERT_TRUE(next());
  xapi.set(vm, "power_state", "Dreaming");
  auto broken = xapi.add("VM", {{"domid", "x"}});
  auto delta = next(seconds(5));
  ASSERT_TRUE(delta);
  EXPECT_TRUE(delta->changes.empty());
  EXPECT_EQ(watcher->picture().vms.size(), 1u);
  EXPECT_EQ(watcher->picture().vms.at(Ref(vm)).power_state, PowerState::halted);
  EXPECT_EQ(watcher->picture().unreadable.size(), 2u);
  EXPECT_EQ(watcher->readings(), 1u) << "unreadable records must not look like lost deletions";
  xapi.set(vm, "power_state", "Running");
  xapi.remove(broken);
  ASSERT_TRUE(next());
  EXPECT_EQ(watcher->picture().unreadable.size(), 0u);
  expect_true();
}

TEST_F(WatcherTest, CancelledWhileItWaits) {
  ASSERT_TRUE(next());
  boost::asio::cancellation_signal stop;
  std::optional<bool> ended;
  boost::asio::co_spawn(
      io, [this]() { return watcher->next(Deadline::after(seconds(600))); },
      boost::asio::bind_cancellation_slot(
          stop.slot(), [&ended](std::exception_ptr, Result<Delta> d) { ended = d.has_value(); }));
  test::settle(io);
  stop.emit(boost::asio::cancellation_type::terminal);
  test::settle(io);
  EXPECT_TRUE(ended);
}

// F1: a life of five changes; at each call of it, each fault.
TEST_F(WatcherTest, EveryStepFailsInEveryWay) {
  std::size_t cases = 0;
  for (auto fault : test::all_xapi_faults()) {
    for (std::size_t step = 0; step < 7; ++step) {
      SCOPED_TRACE(test::name_of(fault) + " at step " + std::to_string(step));
      ++cases;
      watcher.reset();
      told.clear();
      client->shutdown();
      test::settle(io);
      client = std::make_unique<Client>(io, xapi.connector(), Client::Options{});
      watcher = std::make_unique<Watcher>(io, *client, Watcher::Options{});
      auto count = std::make_shared<std::size_t>(0);
      xapi.fault = [this, step, fault, count](const XapiCall&) {
        auto now = (*count)++;
        xapi.refuse = fault == XapiFault::refuse && now + 1 == step;
        return now == step && fault != XapiFault::refuse ? fault : XapiFault::none;
      };
      auto vbd = xapi.add("VBD", {{"VM", vm}});
      next(seconds(70));
      xapi.set(vm, "other_config", {{"step", std::to_string(cases)}});
      next(seconds(70));
      xapi.refuse = false;
      xapi.remove(vbd);
      next(seconds(70));
      auto vdi = xapi.add("VDI");
      next(seconds(70));
      xapi.remove(vdi);
      xapi.refuse = false;
      xapi.fault = [](const XapiCall&) { return XapiFault::none; };
      catch_up();
      expect_true();
    }
  }
  EXPECT_EQ(cases, test::all_xapi_faults().size() * 7);
}

// Batches are reordered, doubled, thinned and delayed at random, XAPI restarts, forgets; in the end nothing
// of it is left.
class Chaos : public WatcherTest, public testing::WithParamInterface<int> {
 protected:
  std::mt19937 random{static_cast<unsigned>(GetParam())};
  std::vector<std::string> refs;
  Json former = Json::array();

  bool one_in(unsigned n) { return random() % n == 0; }
  void spoil(Json& batch) {
    auto& events = batch["events"];
    if (one_in(3)) std::shuffle(events.begin(), events.end(), random);
    if (one_in(3))
      for (const auto& event : Json(events)) events.push_back(event);
    if (one_in(4)) events.insert(events.end(), former.begin(), former.end());  // an old batch comes late
    if (one_in(4) && !events.empty()) {
      // only deletions and creations: the counts tell of those
      auto at = random() % events.size();
      if (events[at]["operation"] != "mod") events.erase(at);
    }
    former = events;
  }
  void live() {
    switch (random() % 8) {
      case 0:
      case 1:
        refs.push_back(xapi.add("VM"));
        break;
      case 2:
        refs.push_back(xapi.add("VBD"));
        break;
      case 3:
      case 4:
        if (!refs.empty())
          xapi.set(refs[random() % refs.size()], "other_config", {{"n", std::to_string(random())}});
        break;
      case 5:
      case 6:
        if (refs.empty()) break;
        std::swap(refs[random() % refs.size()], refs.back());
        xapi.remove(refs.back());
        refs.pop_back();
        break;
      default:
        if (one_in(3)) xapi.restart(static_cast<int>(random() % 3));
        if (one_in(3)) xapi.forget_deletions();
        break;
    }
  }
};

TEST_P(Chaos, EndsInTheTruth) {
  xapi.mangle = [this](Json& batch) { spoil(batch); };
  xapi.fault = [this](const XapiCall&) {
    if (!one_in(12)) return XapiFault::none;
    const auto& all = test::all_xapi_faults();
    return all[random() % all.size()];
  };
  for (int i = 0; i < 60; ++i) {
    for (auto n = random() % 4; n > 0; --n) live();
    auto delta = next(seconds(5));
    EXPECT_TRUE(delta || !delta.error().text.empty());
  }
  xapi.mangle = nullptr;
  xapi.fault = [](const XapiCall&) { return XapiFault::none; };
  // What was spoilt without a trace heals with the next reading of all.
  MonoClock::advance(minutes(11));
  catch_up();
  expect_true();
}
INSTANTIATE_TEST_SUITE_P(Seeds, Chaos, testing::Range(1, 31));

}  // namespace
}  // namespace vnvme::xapi
