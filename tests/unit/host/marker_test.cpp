// Which nodes of xenstore are closed at birth, and when.
#include "host/marker.hpp"

#include <gtest/gtest.h>

namespace vnvme::host {
namespace {

const std::string kRoot(kMarkerRoot);

TEST(MarkerPath, IsWhatXenopsdMakes) {
  EXPECT_EQ(parse_marker_path(kRoot), (MarkerPath{{}, {}, ""}));
  EXPECT_EQ(parse_marker_path(kRoot + "/7"), (MarkerPath{7, {}, ""}));
  EXPECT_EQ(parse_marker_path(kRoot + "/7/51776"), (MarkerPath{7, 51776, ""}));
  EXPECT_EQ(parse_marker_path(kRoot + "/7/51776/state"), (MarkerPath{7, 51776, "state"}));
  EXPECT_EQ(parse_marker_path(kRoot + "/7/51776/sm-data/vnvme-vdi"),
            (MarkerPath{7, 51776, "sm-data/vnvme-vdi"}));
  EXPECT_EQ(marker_node(7, 51776), kRoot + "/7/51776");
}

TEST(MarkerPath, NothingElseIsOne) {
  for (const std::string path :
       {"", "/", "/local/domain/0/backend", "/local/domain/0/backend/9pfsx/1/2",
        "/local/domain/0/backend/9pfs/", "/local/domain/0/backend/9pfs//5",
        "/local/domain/0/backend/9pfs/-1/5", "/local/domain/0/backend/9pfs/07/5",
        "/local/domain/0/backend/9pfs/1/x", "/local/domain/0/backend/9pfs/1/ 5",
        "/local/domain/0/backend/9pfs/32752/1", "/local/domain/0/backend/9pfs/99999999999/1",
        "/local/domain/0/backend/9pfs/1/99999999999"})
    EXPECT_FALSE(parse_marker_path(path)) << path;
}

TEST(MarkerAction, ClosesOnlyAfterTheHotplugScriptHasRun) {
  EXPECT_EQ(marker_action({true, "", "1"}), MarkerAction::wait) << "xenopsd would wait 300 s for the uevent";
  EXPECT_EQ(marker_action({true, "connecting", "1"}), MarkerAction::wait);
  EXPECT_EQ(marker_action({true, "connected", "1"}), MarkerAction::close);
}

TEST(MarkerAction, AnswersACleanUnplugThatItMissed) {
  EXPECT_EQ(marker_action({true, "connected", "5"}), MarkerAction::close);
  EXPECT_EQ(marker_action({true, "", "5"}), MarkerAction::close);
}

TEST(MarkerAction, LeavesWhatIsDoneGoneOrSomebodyElses) {
  EXPECT_EQ(marker_action({true, "connected", "6"}), MarkerAction::leave);
  EXPECT_EQ(marker_action({true, "connected", ""}), MarkerAction::leave) << "the node is gone";
  for (const std::string state : {"1", "2", "4", "5", ""})
    EXPECT_EQ(marker_action({false, "connected", state}), MarkerAction::leave) << state;
}

TEST(MarkerAction, TellsThatSomebodyServesTheNode) {
  for (const std::string state : {"2", "3", "4", "nonsense"})
    EXPECT_EQ(marker_action({true, "connected", state}), MarkerAction::conflict) << state;
}

TEST(Marker, KnowsTheDevicesThatBecomeIdeDisks) {
  for (std::uint32_t device : {768u, 832u, 5632u, 5696u}) EXPECT_TRUE(is_emulated_disk(device)) << device;
  for (std::uint32_t device : {51712u, 51776u, 51792u, 0u}) EXPECT_FALSE(is_emulated_disk(device)) << device;
}

}  // namespace
}  // namespace vnvme::host
