// How an lvol store gets onto its device and back.
#include <algorithm>
#include <cerrno>

#include "dpusim/lvstore.hpp"
#include "vnvme/ids.hpp"

namespace vnvme::sim {
namespace {

constexpr std::string_view kMagic = "VNVMESIM-LVS";

std::uint64_t pages(std::uint64_t bytes) {
  return (bytes + Lvstore::kPage - 1) / Lvstore::kPage;
}
// A bit mask on disk: a type byte, a length word, one bit each.
std::uint64_t mask_pages(std::uint64_t bits) {
  return pages(5 + (bits + 7) / 8);
}

// Superblock, the masks of used pages, clusters and ids, and the pages themselves (lib/blob's layout).
std::uint64_t metadata_clusters(std::uint64_t clusters, std::uint64_t md_pages, std::uint64_t cluster_size) {
  auto all = 1 + mask_pages(md_pages) + mask_pages(clusters) + mask_pages(md_pages) + md_pages;
  return (all * Lvstore::kPage + cluster_size - 1) / cluster_size;
}

// Exactly three numbers.
bool triple(const Json& value) {
  return value.is_array() && value.size() == 3 &&
         std::all_of(value.begin(), value.end(), [](const Json& n) { return n.is_number_unsigned(); });
}

std::string clear_name(Clear clear) {
  return clear == Clear::none ? "none" : clear == Clear::unmap ? "unmap" : "write_zeroes";
}

Json encode(const Lvol& lvol) {
  Json runs = Json::array();
  for (const auto& run : lvol.map.runs()) runs.push_back(Json::array({run.index, run.cluster, run.length}));
  return {{"id", lvol.id},         {"uuid", lvol.uuid},
          {"name", lvol.name},     {"clusters", lvol.clusters},
          {"thin", lvol.thin},     {"ro", lvol.read_only},
          {"snap", lvol.snapshot}, {"parent", lvol.parent},
          {"esnap", lvol.esnap},   {"clear", clear_name(lvol.clear)},
          {"map", std::move(runs)}};
}

}  // namespace

Lvstore::Lvstore(BlockDevice& base, const std::string& folder, std::string uuid, std::uint64_t cluster_size,
                 std::uint64_t first, std::uint64_t end)
    : base_(base),
      journal_(folder + "/" + uuid + ".journal"),
      uuid_(std::move(uuid)),
      cluster_size_(cluster_size),
      first_(first),
      pool_(first, end) {}

int Lvstore::check(const BlockDevice& base, const Options& options) {
  if (options.name.empty() || options.name.size() > kNameMax) return EINVAL;
  auto size = options.cluster_size;
  if (size < kPage || size % kPage != 0 || options.md_pages_percent == 0) return EINVAL;
  auto clusters = base.size() / size;
  auto md_pages = std::max<std::uint64_t>(clusters * options.md_pages_percent / 100, 1);
  return metadata_clusters(clusters, md_pages, size) >= clusters ? ENOSPC : 0;
}

std::unique_ptr<Lvstore> Lvstore::create(BlockDevice& base, const Options& options, const std::string& folder,
                                         int* error) {
  *error = check(base, options);
  if (*error != 0) return nullptr;
  auto clusters = base.size() / options.cluster_size;
  auto md_pages = std::max<std::uint64_t>(clusters * options.md_pages_percent / 100, 1);
  auto first = metadata_clusters(clusters, md_pages, options.cluster_size);
  std::unique_ptr<Lvstore> store(
      new Lvstore(base, folder, random_uuid(), options.cluster_size, first, clusters));
  store->name_ = options.name;
  store->md_pages_ = md_pages;
  auto data = first * options.cluster_size, length = clusters * options.cluster_size - data;
  if (options.clear == Clear::write_zeroes) *error = base.zero(data, length);
  if (options.clear == Clear::unmap) *error = base.unmap(data, length);
  std::string block(kPage, '\0');
  auto text = std::string(kMagic) + " " + store->uuid_ + "\n";
  block.replace(0, text.size(), text);
  if (*error == 0 && !store->journal_.append(store->header())) *error = EIO;
  if (*error == 0) *error = base.write(0, block);  // last: without it the store never was
  return *error == 0 ? std::move(store) : nullptr;
}

std::optional<std::string> Lvstore::examine(BlockDevice& base) {
  std::string block(kPage, '\0');
  if (base.size() < kPage || base.read(0, block) != 0 || !block.starts_with(kMagic)) return std::nullopt;
  return parse_uuid(std::string_view(block).substr(kMagic.size() + 1, 36));
}

Json Lvstore::header() const {
  return {{"store",
           {{"name", name_},
            {"cluster", cluster_size_},
            {"first", first_},
            {"end", pool_.end()},
            {"pages", md_pages_},
            {"next", next_id_}}}};
}

std::unique_ptr<Lvstore> Lvstore::load(BlockDevice& base, const std::string& folder,
                                       const std::string& uuid) {
  std::unique_ptr<Lvstore> store;
  Journal reader(folder + "/" + uuid + ".journal");
  bool ok = reader.replay([&store, &base, &folder, &uuid](const Json& line) {
    if (store != nullptr) return store->apply(line);
    const Json* header = member(line, "store");
    if (header == nullptr) return false;
    auto cluster = number_of(*header, "cluster"), first = number_of(*header, "first"),
         end = number_of(*header, "end");
    if (!cluster || !first || !end || *cluster == 0 || *end > base.size() / *cluster) return false;
    store.reset(new Lvstore(base, folder, uuid, *cluster, *first, *end));
    return store->apply(line);
  });
  if (!ok || store == nullptr || !store->relate()) return nullptr;
  store->journal_.rewrite([&store](const std::function<void(const Json&)>& put) {
    put(store->header());
    for (const auto& [id, lvol] : store->lvols_) put({{"set", Json::array({encode(*lvol)})}});
  });
  return store;
}

bool Lvstore::apply(const Json& line) {
  if (const Json* h = member(line, "store"); h != nullptr) {
    name_ = text_of(*h, "name").value_or("");
    md_pages_ = number_of(*h, "pages").value_or(0);
    next_id_ = std::max(next_id_, number_of(*h, "next").value_or(1));
    if (auto end = number_of(*h, "end").value_or(0); end * cluster_size_ <= base_.size()) pool_.grow(end);
  }
  if (const Json* set = member(line, "set"); set != nullptr && set->is_array())
    for (const auto& record : *set)
      if (!apply_lvol(record)) return false;
  if (const Json* del = member(line, "del"); del != nullptr && del->is_array())
    for (const auto& id : *del)
      if (id.is_number_unsigned()) lvols_.erase(id.get<std::uint64_t>());
  if (const Json* a = member(line, "alloc"); a != nullptr) {
    if (!triple(*a)) return false;
    Lvol* lvol = by_id((*a)[0].get<std::uint64_t>());
    if (lvol == nullptr) return false;
    lvol->map.insert({(*a)[1].get<std::uint64_t>(), (*a)[2].get<std::uint64_t>(), 1});
  }
  return true;
}

bool Lvstore::apply_lvol(const Json& record) {
  auto id = number_of(record, "id"), clusters = number_of(record, "clusters");
  auto uuid = text_of(record, "uuid"), name = text_of(record, "name");
  const Json* map = member(record, "map");
  if (!id || !clusters || !uuid || !name || map == nullptr) return false;
  auto lvol = std::make_unique<Lvol>();
  lvol->id = *id;
  lvol->uuid = *uuid;
  lvol->name = lvol->alias = *name;
  lvol->clusters = *clusters;
  lvol->thin = flag_of(record, "thin").value_or(false);
  lvol->read_only = lvol->write_hidden = flag_of(record, "ro").value_or(false);
  lvol->snapshot = flag_of(record, "snap").value_or(false);
  lvol->parent = number_of(record, "parent").value_or(0);
  lvol->esnap = text_of(record, "esnap").value_or("");
  lvol->clear = parse_clear(text_of(record, "clear").value_or("")).value_or(Clear::unmap);
  for (const auto& run : *map) {
    if (!triple(run)) return false;
    lvol->map.insert({run[0].get<std::uint64_t>(), run[1].get<std::uint64_t>(), run[2].get<std::uint64_t>()});
  }
  next_id_ = std::max(next_id_, *id + 1);
  lvols_[*id] = std::move(lvol);
  return true;
}

// What the journal does not hold because it follows from the rest.
bool Lvstore::relate() {
  for (const auto& [id, lvol] : lvols_) {
    names_[lvol->name] = id;
    for (const auto& run : lvol->map.runs())
      if (!pool_.claim(run)) return false;
    if (Lvol* parent = by_id(lvol->parent); parent != nullptr)
      parent->clones.push_back(id);
    else if (lvol->parent != 0)
      return false;
  }
  return true;
}

bool Lvstore::commit(const std::vector<const Lvol*>& changed, const std::vector<std::uint64_t>& removed) {
  Json line;
  for (const auto* lvol : changed) line["set"].push_back(encode(*lvol));
  if (!removed.empty()) line["del"] = removed;
  bool ok = journal_.append(line);
  compact_if_long();
  return ok;
}

void Lvstore::compact_if_long() {
  if (journal_.lines() < 4 * (lvols_.size() + 1000)) return;
  journal_.rewrite([this](const std::function<void(const Json&)>& put) {
    put(header());
    for (const auto& [id, lvol] : lvols_) put({{"set", Json::array({encode(*lvol)})}});
  });
}

int Lvstore::rename_store(const std::string& name) {
  if (name.empty() || name.size() > kNameMax) return EINVAL;
  name_ = name;
  return journal_.append(header()) ? 0 : EIO;
}

int Lvstore::grow() {
  auto clusters = base_.size() / cluster_size_;
  if (clusters * cluster_size_ > max_growable() + first_ * cluster_size_) return ENOSPC;
  pool_.grow(clusters);
  return journal_.append(header()) ? 0 : EIO;
}

// As far as the mask of used clusters reaches in the pages that it was given.
std::uint64_t Lvstore::max_growable() const {
  return (mask_pages(pool_.end()) * kPage * 8 - 40) * cluster_size_;
}

void Lvstore::destroy() {
  (void)base_.zero(0, kPage);
  journal_.remove();
}

}  // namespace vnvme::sim
