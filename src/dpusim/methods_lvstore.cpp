// bdev_lvol_*_lvstore.
#include <cerrno>

#include "dpusim/methods.hpp"
#include "dpusim/mutation.hpp"

namespace vnvme::sim {
namespace {

constexpr std::uint64_t kCardCluster = 32u << 20;  // of the Kalray card, as recorded

// v23.01 sends the errno positive and makes a riddle of the text.
tl::unexpected<RpcError> store_error(const Target& t, int number) {
  if (t.profile.v26) return refuse_errno(number);
  return refuse(number, "Unknown error -" + std::to_string(number));
}

Json store_json(const Target& t, const Lvstore& s) {
  Bdev* base = t.bdevs.find(s.base_bdev);
  Json out = {{"uuid", s.uuid()},
              {"name", s.name()},
              {"base_bdev", s.base_bdev},
              {"total_data_clusters", s.total_clusters()},
              {"free_clusters", s.free_clusters()},
              {"block_size", base == nullptr ? 512 : base->block_size},
              {"cluster_size", s.cluster_size()}};
  if (t.profile.v26) out["max_growable_size"] = s.max_growable();
  if (t.profile.kalray) out["passive"] = false;
  return out;
}

Reply list_stores(const Target& t, const Json* params) {
  Json out = Json::array();
  if (params != nullptr) {
    auto args = Args::decode(params, {{"uuid", Type::text}, {"lvs_name", Type::text}});
    if (!args) return refuse_decode();
    auto key = find_store(t, *args, "uuid");
    if (key.error != 0) return refuse_errno(key.error);
    out.push_back(store_json(t, *key.store));
    return out;
  }
  for (const auto& store : t.stores()) out.push_back(store_json(t, *store));
  return out;
}

int check_new_store(const Target& t, const Bdev* bdev, const Lvstore::Options& options) {
  if (bdev == nullptr) return ENODEV;
  if (int e = Lvstore::check(*bdev->device, options); e != 0) return e;
  if (options.cluster_size % bdev->block_size != 0) return EINVAL;
  if (!bdev->claim.empty()) return EPERM;
  return t.store_by(options.name, false) != nullptr ? EEXIST : 0;
}

// Two creates on one bdev at once: the later one wins.
void create_store(Target* t, const Json* params, const Done& done) {
  auto args = Args::decode(params, {{"bdev_name", Type::text, true},
                                    {"lvs_name", Type::text, true},
                                    {"cluster_sz", Type::number},
                                    {"clear_method", Type::text},
                                    {"num_md_pages_per_cluster_ratio", Type::number},
                                    {"md_page_size", Type::number, false, t->profile.v26}});
  if (!args) return done(refuse_decode());
  Lvstore::Options options;
  auto clear = parse_clear(args->text_or("clear_method", "unmap"));
  if (!clear) return done(refuse(-EINVAL, "Invalid clear_method parameter"));
  options.name = *args->text("lvs_name");
  if (t->profile.kalray) options.cluster_size = kCardCluster;
  options.cluster_size = args->number_or("cluster_sz", options.cluster_size);
  options.md_pages_percent = args->number_or("num_md_pages_per_cluster_ratio", 100);
  options.clear = *clear;
  auto bdev_name = *args->text("bdev_name");
  if (int e = check_new_store(*t, t->bdevs.find(bdev_name), options); e != 0) return done(store_error(*t, e));
  auto token = ++t->base_claims[bdev_name];
  t->later("bdev_lvol_create_lvstore", [t, bdev_name, options, token, done] {
    Bdev* bdev = t->bdevs.find(bdev_name);
    if (t->base_claims[bdev_name] != token) return done(refuse_late(EPERM));
    if (int e = check_new_store(*t, bdev, options); e != 0) return done(refuse_late(e));
    int error = 0;
    auto store = Lvstore::create(*bdev->device, options, t->settings.state + "/stores", &error);
    if (store == nullptr) return done(refuse_late(error));
    auto uuid = store->uuid();
    t->add_store(std::move(store), *bdev);
    done(uuid);
  });
}

void delete_store(Target* t, const Json* params, const Done& done) {
  auto args = Args::decode(params, {{"uuid", Type::text}, {"lvs_name", Type::text}});
  if (!args) return done(refuse_decode());
  auto key = find_store(*t, *args, "uuid");
  if (key.error != 0) return done(refuse_errno(key.error));
  Lvstore& store = *key.store;
  if (store.esnap_lost)
    Target::crash("lvol store deleted after the parent of an external-snapshot clone was removed");
  if (store.removing) return done(refuse_late(ENODEV));
  if (store.in_flight > 0) store.poisoned = true;  // fails, and takes the unfinished creates down with it
  store.removing = true;
  mutate(*t, "bdev_lvol_delete_lvstore", store, nullptr, done, [t](Lvstore& s, Lvol*) -> Reply {
    if (s.poisoned) {
      s.removing = s.poisoned = false;
      return refuse_late(EBUSY);
    }
    t->unload_store(s, true);
    return true;
  });
}

void rename_store(Target* t, const Json* params, const Done& done) {
  auto args = Args::decode(params, {{"old_name", Type::text, true}, {"new_name", Type::text, true}});
  if (!args) return done(refuse_decode());
  auto from = *args->text("old_name"), to = *args->text("new_name");
  Lvstore* store = t->store_by(from, false);
  if (store == nullptr) return done(refuse(-ENOENT, "Lvol store " + from + " not found"));
  mutate(*t, "bdev_lvol_rename_lvstore", *store, nullptr, done, [t, to](Lvstore& s, Lvol*) -> Reply {
    if (t->store_by(to, false) != nullptr) return refuse_late(EEXIST);
    if (int e = s.rename_store(to); e != 0) return refuse_late(e);
    for (const auto& [id, lvol] : s.lvols())
      if (Bdev* bdev = t->bdevs.find(lvol->uuid); bdev != nullptr)
        t->bdevs.rename_alias(*bdev, to + "/" + lvol->alias);
    return true;
  });
}

void grow_store(Target* t, const Json* params, const Done& done) {
  auto args = Args::decode(params, {{"uuid", Type::text}, {"lvs_name", Type::text}});
  if (!args) return done(refuse_decode());
  auto key = find_store(*t, *args, "uuid");
  if (key.error != 0) return done(refuse_errno(key.error));
  mutate(*t, "bdev_lvol_grow_lvstore", *key.store, nullptr, done, [](Lvstore& s, Lvol*) -> Reply {
    if (int e = s.grow(); e != 0) return refuse_late(e);
    return true;
  });
}

}  // namespace

void add_lvstore_methods(Target& target) {
  Target* t = &target;
  t->on_sync("bdev_lvol_get_lvstores", [t](const Json* params) { return list_stores(*t, params); });
  t->on("bdev_lvol_create_lvstore",
        [t](const Json* params, const Done& done) { create_store(t, params, done); });
  t->on("bdev_lvol_delete_lvstore",
        [t](const Json* params, const Done& done) { delete_store(t, params, done); });
  t->on("bdev_lvol_rename_lvstore",
        [t](const Json* params, const Done& done) { rename_store(t, params, done); });
  t->on("bdev_lvol_grow_lvstore", [t](const Json* params, const Done& done) { grow_store(t, params, done); });
}

}  // namespace vnvme::sim
