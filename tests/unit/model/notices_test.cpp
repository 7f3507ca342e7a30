// Once for each occurrence, over restarts, and never many: whatever the answers to message.create are.
#include "model/notices.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <set>

namespace vnvme::model {
namespace {

using Came = Notices::Came;
const Notices::Key kLost{Topic::dpu_lost, "dpu d"};
const Notices::Key kFought{Topic::list_fought, "VM v"};

// A messenger without XAPI: what it would send, and a store.
struct Teller {
  Notices book;
  std::map<std::string, std::string> store;
  std::vector<Notice> sent;
  Seconds now{1000};

  void save() {
    for (const auto& [note, value] : book.unsaved()) {
      if (value.empty())
        store.erase(note);
      else
        store[note] = value;
      book.saved(note, value);
    }
  }
  // Everything that is due is tried, with that answer.
  std::size_t tell(Came came) {
    std::size_t tried = 0;
    while (auto key = book.due(now)) {
      auto notice = book.begin(*key);
      save();
      if (!notice) continue;
      ++tried;
      if (came != Came::refused) sent.push_back(*notice);
      book.settle(*key, came, now);
      save();
    }
    return tried;
  }
  void restart() {
    book = Notices();
    book.restore(store, now);
  }
  // The condition stands for that long, and is looked at every 30 s.
  void stand(Topic topic, const std::string& object, Seconds how_long, int rank = 1, Came came = Came::told) {
    for (auto end = now + how_long; now < end; now += Seconds(30)) {
      book.raise({topic, object, "it is so", rank}, now);
      book.expire(now);
      tell(came);
    }
  }
  void quiet(Seconds how_long, Came came = Came::told) {
    for (auto end = now + how_long; now < end; now += Seconds(30)) {
      book.expire(now);
      tell(came);
      save();
    }
  }
};

TEST(Topics, AreOneTableOfGoodMessages) {
  std::set<std::string> names;
  std::set<Topic> seen;
  for (const TopicRow& row : topics()) {
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_TRUE(seen.insert(row.topic).second);
    for (char c : std::string(row.name)) EXPECT_TRUE(c == '_' || (c >= 'A' && c <= 'Z')) << row.name;
    EXPECT_TRUE(row.priority >= 1 && row.priority <= 5);
    EXPECT_GT(row.calm, Seconds(60)) << "longer than the time between two looks";
    EXPECT_EQ(std::string(row.help).back(), '.');
  }
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(Topic::still_in_use)) << "all but none";
  EXPECT_EQ(row_of(Topic::none), nullptr);
  std::ifstream file(VNVME_SOURCE "/docs/xcp-ng.md");
  std::string documents((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  for (const TopicRow& row : topics())
    EXPECT_NE(documents.find("| `" + std::string(row.name) + "` | " + std::to_string(row.priority) + " |"),
              std::string::npos)
        << row.name << " is not in the table of docs/xcp-ng.md";
}

TEST(Topics, AreFoundInTheEventsThatTheyComeFrom) {
  EXPECT_EQ(topic_of("something keeps rewriting other-config:pci of VM x; vnvme repairs it"),
            Topic::list_fought);
  EXPECT_EQ(topic_of("namespace 5 of function f belonged to nobody and was taken away"), Topic::leftover);
  EXPECT_EQ(topic_of("volume v could not be exposed again to VM x: io"), Topic::not_restored);
  EXPECT_EQ(topic_of("SR s is more than 80 % full"), Topic::none) << "told by the look, not by the event";
  EXPECT_EQ(topic_of(""), Topic::none);
  // Each row's words are those of an event in the sources.
  std::string sources;
  for (const char* name : {"toolstack", "reconcile", "trash"}) {
    std::ifstream file(std::string(VNVME_SOURCE "/src/service/") + name + ".cpp");
    sources.append(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  for (const EventRow& row : event_topics())
    EXPECT_NE(sources.find(row.words), std::string::npos) << row.words;
}

TEST(FillRank, HasHysteresis) {
  struct Case {
    double percent;
    int before, rank;
  };
  for (const Case& c : std::vector<Case>{Case{79.9, 0, 0},
                                         {80, 0, 80},
                                         {79, 80, 80},
                                         {75.1, 80, 80},
                                         {75, 80, 0},
                                         {89.9, 80, 80},
                                         {90, 80, 90},
                                         {86, 90, 90},
                                         {85, 90, 80},
                                         {95, 0, 95},
                                         {99, 95, 95},
                                         {91, 95, 95},
                                         {90, 95, 90},
                                         {0, 95, 0},
                                         {100, 0, 95}})
    EXPECT_EQ(fill_rank(c.percent, c.before), c.rank) << c.percent << " after " << c.before;
}

TEST(Notices, WhatStandsIsToldOnce) {
  Teller t;
  t.stand(kLost.first, kLost.second, Seconds(60));
  EXPECT_TRUE(t.sent.empty()) << "it may be over soon";
  t.stand(kLost.first, kLost.second, Seconds(3600));
  ASSERT_EQ(t.sent.size(), 1u);
  EXPECT_EQ(t.sent[0].text, "it is so");
  EXPECT_EQ(t.store.size(), 1u);
}

TEST(Notices, WhatIsOverAndComesAgainIsNews) {
  Teller t;
  t.stand(kLost.first, kLost.second, Seconds(300));
  t.quiet(Seconds(120));
  t.stand(kLost.first, kLost.second, Seconds(300));
  EXPECT_EQ(t.sent.size(), 1u) << "flapping is one occurrence";
  t.quiet(Seconds(600));
  EXPECT_TRUE(t.store.empty()) << "nothing is kept of what is over";
  EXPECT_EQ(t.book.size(), 0u);
  t.stand(kLost.first, kLost.second, Seconds(300));
  EXPECT_EQ(t.sent.size(), 2u);
}

TEST(Notices, WhatIsOverBeforeItsTimeIsNeverTold) {
  Teller t;
  t.stand(kLost.first, kLost.second, Seconds(60));
  t.quiet(Seconds(3600));
  EXPECT_TRUE(t.sent.empty());
}

TEST(Notices, AnEventNeedNotBeSeenTwice) {
  Teller t;
  t.book.raise({kFought.first, kFought.second, "it fights"}, t.now);
  EXPECT_EQ(t.tell(Came::told), 1u);
  t.book.raise({kFought.first, kFought.second, "it fights"}, t.now + Seconds(10));
  EXPECT_EQ(t.tell(Came::told), 0u);
}

TEST(Notices, ARestartTellsNothingTwice) {
  Teller t;
  t.stand(kLost.first, kLost.second, Seconds(300));
  for (int i = 0; i < 5; ++i) {
    t.restart();
    t.stand(kLost.first, kLost.second, Seconds(300));
  }
  EXPECT_EQ(t.sent.size(), 1u);
  t.restart();
  t.quiet(Seconds(900));
  EXPECT_TRUE(t.store.empty()) << "it was over while nobody looked";
}

TEST(Notices, ALostAnswerCostsOneDoubledMessageAtMost) {
  Teller t;
  t.stand(kLost.first, kLost.second, Seconds(7200), 1, Came::unknown);
  EXPECT_EQ(t.sent.size(), Notices::kTries);
  t.restart();
  t.stand(kLost.first, kLost.second, Seconds(7200), 1, Came::unknown);
  EXPECT_EQ(t.sent.size(), Notices::kTries);
}

TEST(Notices, ADaemonThatDiesOverItDoesNotRepeatItForEver) {
  Teller t;
  std::size_t begun = 0;
  for (int i = 0; i < 10; ++i) {
    for (int look = 0; look < 5; ++look) {
      t.book.raise({kLost.first, kLost.second, "it is so"}, t.now);
      t.now += Seconds(30);
    }
    t.book.raise({kLost.first, kLost.second, "it is so"}, t.now);
    auto key = t.book.due(t.now);
    if (key && t.book.begin(*key)) ++begun;
    t.save();
    t.restart();  // no answer was ever seen
  }
  EXPECT_EQ(begun, Notices::kTries);
}

TEST(Notices, ARefusalIsTriedAgainWithGrowingPauses) {
  Teller t;
  std::size_t tried = 0;
  for (int i = 0; i < 3600; ++i, t.now += Seconds(1)) {
    t.book.raise({kFought.first, kFought.second, "it fights"}, t.now);
    tried += t.tell(Came::refused);
  }
  EXPECT_GE(tried, 8u);
  EXPECT_LE(tried, 14u);
  EXPECT_TRUE(t.store.empty()) << "a refused attempt leaves nothing";
  t.now += Seconds(600);
  EXPECT_EQ(t.tell(Came::told), 1u) << "and is told when it can be";
}

TEST(Notices, AHigherRankIsNewsALowerOneIsNot) {
  Teller t;
  auto stand = [&t](int rank) { t.stand(Topic::pool_filling, "SR s", Seconds(120), rank); };
  stand(80);
  stand(90);
  stand(90);
  stand(80);
  EXPECT_EQ(t.sent.size(), 2u);
  stand(90);
  EXPECT_EQ(t.sent.size(), 3u) << "it was better in between";
  t.restart();
  stand(90);
  EXPECT_EQ(t.sent.size(), 3u);
  stand(95);
  ASSERT_EQ(t.sent.size(), 4u);
  EXPECT_EQ(t.sent.back().rank, 95);
  EXPECT_EQ(t.book.rank(Topic::pool_filling, "SR s"), 95);
  EXPECT_EQ(t.book.rank(Topic::pool_filling, "SR other"), 0);
}

TEST(Notices, WhatBecameBetterWhileItWasBeingToldIsANewTry) {
  Teller t;
  const Notices::Key filling{Topic::pool_filling, "SR s"};
  t.book.raise({filling.first, filling.second, "90 % full", 90}, t.now);
  ASSERT_TRUE(t.book.begin(filling));
  t.book.settle(filling, Came::unknown, t.now);
  t.book.raise({filling.first, filling.second, "80 % full", 80}, t.now);
  t.now += Seconds(60);
  EXPECT_EQ(t.tell(Came::unknown), 1u);
  t.now += Seconds(60);
  EXPECT_EQ(t.tell(Came::unknown), 1u) << "with all its tries";
  t.now += Seconds(60);
  EXPECT_EQ(t.tell(Came::unknown), 0u);
}

TEST(Notices, WhatNobodyCanLookAtStands) {
  Teller t;
  t.stand(kLost.first, kLost.second, Seconds(300));
  for (int i = 0; i < 100; ++i) {
    t.now += Seconds(60);
    t.book.keep(kLost.first, kLost.second, t.now);
    t.book.keep(kFought.first, kFought.second, t.now);  // stands not
    t.book.expire(t.now);
  }
  EXPECT_EQ(t.book.size(), 1u);
  t.stand(kLost.first, kLost.second, Seconds(300));
  EXPECT_EQ(t.sent.size(), 1u) << "it never was over";
}

TEST(Notices, AnswersToWhatIsNotBeingToldChangeNothing) {
  Teller t;
  EXPECT_FALSE(t.book.begin(kFought));
  t.book.settle(kFought, Came::told, t.now);
  EXPECT_EQ(t.book.size(), 0u);
  t.book.raise({kFought.first, kFought.second, "it fights"}, t.now);
  t.book.settle(kFought, Came::refused, t.now);  // never begun
  t.now += Seconds(10);
  EXPECT_EQ(t.tell(Came::told), 1u);
  EXPECT_FALSE(t.book.begin(kFought)) << "told already";
}

TEST(Notices, ARefusalAfterALostAnswerKeepsTheLostOneCounted) {
  Teller t;
  t.book.raise({kFought.first, kFought.second, "it fights"}, t.now);
  EXPECT_EQ(t.tell(Came::unknown), 1u);
  t.now += Seconds(60);
  EXPECT_EQ(t.tell(Came::refused), 1u);
  EXPECT_FALSE(t.store.empty()) << "one may have been told";
  t.now += Seconds(600);
  EXPECT_EQ(t.tell(Came::unknown), 1u);
  t.now += Seconds(600);
  EXPECT_EQ(t.tell(Came::unknown), 0u);
}

TEST(Notices, MoreAnswersThanTheHoursNumberAreNoDebt) {
  Teller t;
  for (unsigned n = 0; n < 2 * Notices::kBurst; ++n) {
    Notices::Key key{kFought.first, "VM " + std::to_string(n)};
    t.book.raise({key.first, key.second, "it fights"}, t.now);
    ASSERT_TRUE(t.book.begin(key));
    t.book.settle(key, Came::told, t.now);
  }
  t.book.raise({kFought.first, "VM late", "it fights"}, t.now);
  EXPECT_EQ(t.tell(Came::told), 0u);
  t.now += Seconds(100 * 3600);
  t.book.raise({kFought.first, "VM late", "it fights"}, t.now);
  EXPECT_EQ(t.tell(Came::told), 1u) << "long after, at most a burst again";
}

TEST(Notices, WhatIsRestoredIsBoundedToo) {
  std::map<std::string, std::string> notes;
  for (int n = 0; n < 1000; ++n) notes["message.VNVME_DPU_LOST.dpu " + std::to_string(n)] = "1 0 0";
  Notices book;
  book.restore(notes, Seconds(5));
  EXPECT_EQ(book.size(), Notices::kMost);
}

TEST(Notices, AtMostABurstAndTenAnHour) {
  Teller t;
  for (int n = 0; n < 200; ++n) t.book.raise({kFought.first, "VM " + std::to_string(n), "it fights"}, t.now);
  EXPECT_EQ(t.tell(Came::told), Notices::kBurst);
  for (int i = 0; i < 3600; i += 30) {
    t.now += Seconds(30);
    t.tell(Came::told);
  }
  EXPECT_EQ(t.sent.size(), 2 * Notices::kBurst);
}

TEST(Notices, TheUrgentOnesGoFirst) {
  Teller t;
  for (int n = 0; n < 20; ++n) t.book.raise({kFought.first, "VM " + std::to_string(n), "it fights"}, t.now);
  t.book.raise({Topic::leftover, "volume w", "found"}, t.now);
  t.book.raise({Topic::not_restored, "volume v", "gone"}, t.now);
  t.tell(Came::told);
  ASSERT_FALSE(t.sent.empty());
  EXPECT_EQ(t.sent[0].topic, Topic::not_restored);
}

TEST(Notices, AreBounded) {
  Notices book;
  for (int n = 0; n < 10000; ++n)
    book.raise({kFought.first, "VM " + std::to_string(n), "it fights"}, Seconds(1));
  EXPECT_EQ(book.size(), Notices::kMost);
  book.raise({Topic::none, "VM x", "nothing"}, Seconds(1));
  book.raise({kFought.first, "VM 1", ""}, Seconds(1));
  book.raise({kFought.first, "VM 1", "nothing", 0}, Seconds(1));
  EXPECT_EQ(book.size(), Notices::kMost);
}

TEST(Notices, NotesThatCannotBeReadAreErasedOthersAreNot) {
  Notices book;
  std::map<std::string, std::string> notes{{"reserved-by-hand.x", "y"},
                                           {"message.VNVME_DPU_LOST.dpu d", "1 0 0"},
                                           {"message.VNVME_DPU_LOST.dpu e", "1 0"},
                                           {"message.VNVME_DPU_LOST.dpu f", "-1 0 0"},
                                           {"message.VNVME_DPU_LOST.dpu g", "1 0 0x"},
                                           {"message.VNVME_DPU_LOST.dpu h", "x 0 0"},
                                           {"message.VNVME_DPU_LOST.dpu i", "1 0 99999999999"},
                                           {"message.VNVME_NEVER.dpu d", "1 0 0"},
                                           {"message.", "1 0 0"},
                                           {"message.VNVME_DPU_LOST", "1 0 0"}};
  book.restore(notes, Seconds(5));
  EXPECT_EQ(book.size(), 1u);
  std::set<std::string> erased;
  for (const auto& [note, value] : book.unsaved()) {
    EXPECT_TRUE(value.empty());
    erased.insert(note);
  }
  EXPECT_EQ(erased.size(), 8u);
  EXPECT_FALSE(erased.contains("reserved-by-hand.x"));
  EXPECT_FALSE(erased.contains("message.VNVME_DPU_LOST.dpu d"));
}

TEST(MessageOf, IsAboutTheObjectElseAboutTheHost) {
  xapi::Picture picture;
  xapi::Host self;
  self.uuid = "host-uuid";
  picture.vms[xapi::Ref("v")].uuid = VmId("vm-uuid");
  picture.srs[xapi::Ref("s")].uuid = SrId("sr-uuid");
  picture.vdis[xapi::Ref("d")].uuid = "vdi-uuid";
  struct Case {
    std::string object;
    xapi::Class cls;
    std::string uuid;
  };
  for (const Case& c : std::vector<Case>{Case{"VM vm-uuid", xapi::Class::vm, "vm-uuid"},
                                         {"SR sr-uuid", xapi::Class::sr, "sr-uuid"},
                                         {"volume vdi-uuid", xapi::Class::vdi, "vdi-uuid"},
                                         {"VM unknown", xapi::Class::host, "host-uuid"},
                                         {"volume unknown", xapi::Class::host, "host-uuid"},
                                         {"SR", xapi::Class::host, "host-uuid"},
                                         {"", xapi::Class::host, "host-uuid"},
                                         {"function vm-uuid", xapi::Class::host, "host-uuid"},
                                         {"dpu unix:/x", xapi::Class::host, "host-uuid"}}) {
    auto m = message_of({Topic::pool_filling, c.object, "SR s is 81 % full", 80}, picture, &self);
    ASSERT_TRUE(m) << c.object;
    EXPECT_EQ(m->cls, c.cls) << c.object;
    EXPECT_EQ(m->uuid, c.uuid) << c.object;
    EXPECT_EQ(m->name, "VNVME_POOL_NEARLY_FULL");
    EXPECT_TRUE(m->body.starts_with("SR s is 81 % full. At 100 %")) << m->body;
  }
  EXPECT_FALSE(message_of({Topic::dpu_lost, "dpu d", "x"}, picture, nullptr));
  EXPECT_FALSE(message_of({Topic::none, "dpu d", "x"}, picture, &self));
  auto odd = message_of({Topic::dpu_lost, "dpu d", std::string(5000, '\x01')}, picture, &self);
  EXPECT_LT(odd->body.size(), 1200u);
  EXPECT_EQ(odd->body.find('\x01'), std::string::npos);
}

}  // namespace
}  // namespace vnvme::model
