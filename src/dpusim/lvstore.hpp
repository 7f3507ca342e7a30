// An lvol store: clusters, thin and thick lvols, snapshots and clones, with real data in the base device and
// the relations in a journal. Calls are synchronous, return 0 or an errno, and are durable when they return.
#pragma once
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "dpusim/block.hpp"
#include "dpusim/cluster_map.hpp"
#include "dpusim/journal.hpp"

namespace vnvme::sim {

enum class Clear { none, unmap, write_zeroes };
std::optional<Clear> parse_clear(std::string_view name);

struct Lvol {
  std::uint64_t id = 0;
  std::string uuid, name;
  std::string alias;  // after "store/"; may be longer than the stored name until the next start
  std::uint64_t clusters = 0;
  bool thin = false, read_only = false, snapshot = false;
  bool write_hidden = false;  // read-only as bdev_get_bdevs shows it: in v26 only after a restart
  std::uint64_t parent = 0;   // id of the snapshot beneath, or 0
  std::string esnap;          // uuid of a bdev that is the snapshot beneath
  Clear clear = Clear::unmap;
  ClusterMap map;
  std::vector<std::uint64_t> clones;
  std::string busy;  // the unfinished operation, if any
};

class Lvstore {
 public:
  struct Options {
    std::string name;
    std::uint64_t cluster_size = 4u << 20;
    std::uint64_t md_pages_percent = 100;  // metadata pages per 100 clusters
    Clear clear = Clear::unmap;
  };
  static constexpr std::uint64_t kPage = 4096;
  static constexpr std::size_t kNameMax = 63;

  // `folder` holds the journals, one a store.
  static std::unique_ptr<Lvstore> create(BlockDevice& base, const Options& options, const std::string& folder,
                                         int* error);
  static std::unique_ptr<Lvstore> load(BlockDevice& base, const std::string& folder, const std::string& uuid);
  // The uuid in the superblock of a device, or nothing.
  static std::optional<std::string> examine(BlockDevice& base);
  // The reason why such a store cannot be made there, or 0.
  static int check(const BlockDevice& base, const Options& options);

  int create_lvol(const std::string& name, std::uint64_t bytes, bool thin, Clear clear, Lvol** out);
  int snapshot(Lvol& lvol, const std::string& name, Lvol** out);
  int clone(Lvol& snapshot, const std::string& name, Lvol** out);
  int clone_esnap(const std::string& bdev_uuid, std::uint64_t bytes, const std::string& name, Lvol** out);
  int inflate(Lvol& lvol);
  int decouple(Lvol& lvol);
  int resize(Lvol& lvol, std::uint64_t bytes);
  int set_read_only(Lvol& lvol);
  int rename(Lvol& lvol, const std::string& name);
  int remove(Lvol& lvol);
  int rename_store(const std::string& name);
  int grow();
  void destroy();  // the superblock and the journal; the data stays where it is

  [[nodiscard]] Lvol* by_id(std::uint64_t id) const;
  [[nodiscard]] Lvol* by_name(std::string_view name) const;
  [[nodiscard]] const std::map<std::uint64_t, std::unique_ptr<Lvol>>& lvols() const { return lvols_; }
  [[nodiscard]] std::uint64_t clusters_for(std::uint64_t bytes) const {
    return (bytes + cluster_size_ - 1) / cluster_size_;
  }
  [[nodiscard]] const std::string& uuid() const { return uuid_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::uint64_t cluster_size() const { return cluster_size_; }
  [[nodiscard]] std::uint64_t total_clusters() const { return pool_.end() - first_; }
  [[nodiscard]] std::uint64_t free_clusters() const { return pool_.free(); }
  [[nodiscard]] std::uint64_t max_growable() const;
  [[nodiscard]] BlockDevice& base() { return base_; }

  // The data path. esnap_of finds the device beneath an external-snapshot clone.
  int read(const Lvol& lvol, std::uint64_t offset, std::span<char> into);
  int write(Lvol& lvol, std::uint64_t offset, std::span<const char> from);
  int zero(Lvol& lvol, std::uint64_t offset, std::uint64_t length);
  int unmap(Lvol& lvol, std::uint64_t offset, std::uint64_t length);
  std::function<BlockDevice*(const std::string& uuid)> esnap_of;

  // What the method handlers know of unfinished work.
  std::string base_bdev;
  std::uint64_t in_flight = 0;
  bool removing = false, poisoned = false, esnap_lost = false;
  std::set<std::string> creating;  // names of lvols that are being made

 private:
  Lvstore(BlockDevice& base, const std::string& folder, std::string uuid, std::uint64_t cluster_size,
          std::uint64_t first, std::uint64_t end);
  Lvol* add(Lvol lvol);
  void forget(Lvol& lvol);
  bool room_for_metadata() const { return lvols_.size() + 1 < md_pages_; }
  int name_error(const std::string& name) const;
  void release(const Lvol& lvol, const std::vector<Run>& runs);
  void merge_into_clone(Lvol& snapshot, Lvol& clone);
  bool commit(const std::vector<const Lvol*>& changed, const std::vector<std::uint64_t>& removed = {});
  void compact_if_long();
  [[nodiscard]] Json header() const;
  bool apply(const Json& line);
  bool apply_lvol(const Json& record);
  bool relate();
  int fill(Lvol& lvol, bool everything);
  int allocate(Lvol& lvol, std::uint64_t index, bool* zeroes_beneath);
  int read_cluster(const Lvol& lvol, std::uint64_t index, std::uint64_t inner, std::span<char> into,
                   bool* zeroes);

  BlockDevice& base_;
  Journal journal_;
  std::string uuid_, name_;
  std::uint64_t cluster_size_, first_, md_pages_ = 0, next_id_ = 1;
  ClusterPool pool_;
  std::map<std::uint64_t, std::unique_ptr<Lvol>> lvols_;
  std::unordered_map<std::string, std::uint64_t> names_;
};

// An lvol as a block device.
class LvolDevice : public BlockDevice {
 public:
  LvolDevice(Lvstore& store, Lvol& lvol) : store_(store), lvol_(lvol) {}
  [[nodiscard]] std::uint64_t size() const override { return lvol_.clusters * store_.cluster_size(); }
  int read(std::uint64_t offset, std::span<char> into) override { return store_.read(lvol_, offset, into); }
  int write(std::uint64_t offset, std::span<const char> from) override {
    return store_.write(lvol_, offset, from);
  }
  int zero(std::uint64_t offset, std::uint64_t length) override { return store_.zero(lvol_, offset, length); }
  int unmap(std::uint64_t offset, std::uint64_t length) override {
    return store_.unmap(lvol_, offset, length);
  }

 private:
  Lvstore& store_;
  Lvol& lvol_;
};

}  // namespace vnvme::sim
