// The fold of batches, without any transport.
#include "xapi/mirror.hpp"

#include <gtest/gtest.h>

namespace vnvme::xapi {
namespace {

Event put(const std::string& ref, std::int64_t id, const std::string& name,
          Event::Operation operation = Event::Operation::modified) {
  Vm vm;
  vm.ref = Ref(ref);
  vm.name_label = name;
  Event out;
  out.ref = Ref(ref);
  out.id = id;
  out.operation = operation;
  out.record = vm;
  return out;
}
Event gone(const std::string& ref, std::int64_t id) {
  Event out;
  out.ref = Ref(ref);
  out.id = id;
  out.operation = Event::Operation::removed;
  return out;
}
EventBatch batch(std::vector<Event> events) {
  EventBatch out;
  out.events = std::move(events);
  return out;
}

class MirrorTest : public testing::Test {
 protected:
  Mirror mirror;
  std::string name(const std::string& ref) const {
    const auto* vm = Picture::find(mirror.picture().vms, Ref(ref));
    return vm == nullptr ? "-" : vm->name_label;
  }
};

TEST_F(MirrorTest, ModifiedBeforeAddedIsAdded) {
  auto changes = mirror.fold(batch({put("a", 5, "x")}));
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].operation, Event::Operation::added);
}

TEST_F(MirrorTest, DoublesChangeNothing) {
  EXPECT_EQ(mirror.fold(batch({put("a", 5, "x"), put("a", 5, "x")})).size(), 1u);
  EXPECT_EQ(mirror.fold(batch({put("a", 5, "x"), put("a", 6, "x")})).size(), 0u);
}

TEST_F(MirrorTest, AnOlderRecordNeverReplacesANewerOne) {
  mirror.fold(batch({put("a", 7, "new")}));
  EXPECT_EQ(mirror.fold(batch({put("a", 5, "old")})).size(), 0u);
  EXPECT_EQ(name("a"), "new");
  mirror.fold(batch({put("b", 9, "later"), put("b", 8, "earlier")}));
  EXPECT_EQ(name("b"), "later");
}

TEST_F(MirrorTest, ADeletionWinsWhereverItStands) {
  auto first = mirror.fold(batch({gone("a", 6), put("a", 5, "x", Event::Operation::added)}));
  EXPECT_EQ(name("a"), "-");
  ASSERT_EQ(first.size(), 2u);
  EXPECT_EQ(mirror.fold(batch({gone("a", 6), gone("never", 6)})).size(), 0u);
}

TEST_F(MirrorTest, ReplaceTellsTheDifferenceOnly) {
  mirror.replace(batch({put("a", 5, "x"), put("b", 5, "x"), put("c", 500, "x")}));
  // the numbers went back: XAPI was restored from an older database
  auto changes = mirror.replace(batch({put("a", 4, "x"), put("c", 4, "y"), put("d", 4, "x")}));
  ASSERT_EQ(changes.size(), 3u);
  EXPECT_EQ(name("a"), "x");
  EXPECT_EQ(name("b"), "-");
  EXPECT_EQ(name("c"), "y");
  EXPECT_EQ(name("d"), "x");
  EXPECT_EQ(changes[2].operation, Event::Operation::removed);
}

TEST_F(MirrorTest, UnreadableIsNeitherAbsentNorForgotten) {
  mirror.fold(batch({put("a", 5, "x")}));
  auto broken = put("a", 6, "");
  broken.record.reset();
  broken.unreadable = "no uuid";
  auto fresh = broken;
  fresh.ref = Ref("b");
  EXPECT_EQ(mirror.fold(batch({broken, fresh})).size(), 0u);
  EXPECT_EQ(name("a"), "x");
  EXPECT_EQ(mirror.picture().count(Class::vm), 2u);
  EXPECT_EQ(mirror.disagreement({{Class::vm, 2}}), "");
  // It stays known over a new reading, also when that cannot read it either.
  auto changes = mirror.replace(batch({broken, fresh}));
  EXPECT_EQ(changes.size(), 0u);
  EXPECT_EQ(name("a"), "x");
  mirror.fold(batch({put("b", 9, "y"), gone("a", 9)}));
  EXPECT_EQ(mirror.picture().unreadable.size(), 0u);
  EXPECT_EQ(mirror.picture().count(Class::vm), 1u);
}

TEST_F(MirrorTest, CountsAreComparedPerClass) {
  mirror.fold(batch({put("a", 5, "x")}));
  EXPECT_EQ(mirror.disagreement({{Class::vm, 1}, {Class::vbd, 0}}), "");
  EXPECT_EQ(mirror.disagreement({}), "");
  EXPECT_EQ(mirror.disagreement({{Class::vm, 2}}), "XAPI has 2 of class VM, we have 1");
  EXPECT_NE(mirror.disagreement({{Class::vbd, 1}}), "");
}

}  // namespace
}  // namespace vnvme::xapi
