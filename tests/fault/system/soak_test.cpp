// F17 on fakes: the same things over and over. The heap in use stays flat, and in the end nothing is left.
// VNVME_CYCLES is how many (300; at night 100,000).
#include <gtest/gtest.h>
#include <malloc.h>

#include <cstdlib>
#include <iostream>

#include "support/rig.hpp"

namespace vnvme::test {
namespace {

std::size_t cycles() {
  const char* many = std::getenv("VNVME_CYCLES");
  if (many != nullptr) return std::strtoull(many, nullptr, 10);
  return std::getenv("VNVME_NIGHT") != nullptr ? 100'000 : 300;
}

// One volume from its creation to its end, through a guest and dom0.
void cycle(Rig& rig, std::size_t n) {
  auto v = rig.create("volume " + std::to_string(n), MiB(8)).value();
  ASSERT_TRUE(v) << v.error().describe();
  for (const std::string domain : {"7", "u0_soak"}) {
    ASSERT_TRUE(rig.attach(v->key, domain).value());
    ASSERT_TRUE(rig.activate(v->key, domain).value());
    if (domain == "7") rig.domains.running.clear();  // its namespace goes at once
    ASSERT_TRUE(rig.release(v->key, domain).value());
    rig.domains.running[7] = rig.vm;
  }
  auto s = rig.snapshot(v->key).value();
  ASSERT_TRUE(s) << s.error().describe();
  ASSERT_TRUE(rig.destroy(s->key).value());
  ASSERT_TRUE(rig.destroy(v->key).value());
}

TEST(Soak, TheHeapStaysFlatAndNothingIsLeft) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  rig.domains.running[7] = rig.vm;
  ASSERT_TRUE(rig.reserve(rig.vm).value());
  // What is bounded fills up first: events here, remembered requests (two a cycle, 1,000 are kept) below.
  for (int i = 0; i < 5'000; ++i) rig.events.add("info", "an object", std::string(200, 'x'));
  const std::size_t warm = 520, all = warm + cycles();
  std::size_t before = 0;
  for (std::size_t n = 0; n < all && !HasFatalFailure(); ++n) {
    if (n == warm) {
      ASSERT_TRUE(rig.settle());
      before = mallinfo2().uordblks;
    }
    cycle(rig, n);
  }
  ASSERT_TRUE(rig.settle());
  const std::size_t after = mallinfo2().uordblks;
  std::cout << all - warm << " cycles, heap " << before << " bytes before, " << after << " after\n";
  EXPECT_LE(after, before + 16u * 1024) << "something grows with every cycle";
  EXPECT_TRUE(rig.memory.contents().nsids.empty());
  EXPECT_TRUE(rig.card.lvols.empty());
  EXPECT_TRUE(rig.card.exposures.empty());
  EXPECT_EQ(rig.card.overlapping, 0u);
  rig.check("after the soak");
}

}  // namespace
}  // namespace vnvme::test
