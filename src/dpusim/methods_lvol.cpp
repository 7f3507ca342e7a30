// bdev_lvol_* on single lvols.
#include <cerrno>

#include "dpusim/methods.hpp"
#include "dpusim/mutation.hpp"
#include "dpusim/snap.hpp"

namespace vnvme::sim {
namespace {

// More unfinished changes than this in one store, and a delete among them, brought v26.05 down.
constexpr std::uint64_t kCrashDepth = 16;

Bdev* find_lvol(const Target& t, const std::string& name) {
  Bdev* bdev = t.bdevs.find(name);
  return bdev == nullptr || bdev->kind != Kind::lvol ? nullptr : bdev;
}

// Bytes; the key and its unit depend on the version.
Field size_field(const Target& t) {
  return {t.profile.v26 ? "size_in_mib" : "size", Type::number, true};
}
std::uint64_t size_bytes(const Target& t, const Args& args) {
  if (!t.profile.v26) return *args.number("size");
  auto mib = *args.number("size_in_mib");
  return mib > (UINT64_MAX >> 21) ? UINT64_MAX >> 1 : mib << 20;
}

// A new lvol becomes a bdev and its uuid is the answer.
Reply show_new(Target& t, Lvstore& store, Lvol* lvol) {
  Bdev* bdev = t.add_lvol_bdev(store, *lvol);
  if (bdev == nullptr) return refuse_late(EEXIST);
  if (t.slots) t.slots->created(*bdev);
  return lvol->uuid;
}

void create(Target* t, const Json* params, const Done& done) {
  auto args = Args::decode(params, {{"uuid", Type::text},
                                    {"lvs_name", Type::text},
                                    {"lvol_name", Type::text, true},
                                    size_field(*t),
                                    {"thin_provision", Type::boolean},
                                    {"clear_method", Type::text}});
  if (!args) return done(refuse_decode());
  auto key = find_store(*t, *args, "uuid");
  if (key.error != 0) return done(refuse_errno(key.error));
  auto clear = parse_clear(args->text_or("clear_method", "unmap"));
  if (!clear) return done(refuse(-EINVAL, "Invalid clean_method option"));
  Lvstore& store = *key.store;
  auto name = *args->text("lvol_name");
  if (name.empty() || name.size() > Lvstore::kNameMax) return done(refuse_errno(EINVAL));
  if (store.by_name(name) != nullptr || store.creating.contains(name)) return done(refuse_errno(EEXIST));
  if (store.removing) {
    if (t->profile.v26 && store.poisoned && store.creating.size() > 1)
      Target::crash("lvols created while their store was being deleted");
    if (!t->profile.v26) store.poisoned = true;
    return done(refuse_late(ENODEV));
  }
  store.creating.insert(name);
  auto bytes = size_bytes(*t, *args);
  bool thin = args->flag("thin_provision");
  mutate(*t, "bdev_lvol_create", store, nullptr, done,
         [t, name, bytes, thin, clear](Lvstore& s, Lvol*) -> Reply {
           s.creating.erase(name);
           if (s.poisoned) return refuse_late(ENODEV);
           Lvol* made = nullptr;
           if (int e = s.create_lvol(name, bytes, thin, *clear, &made); e != 0) return refuse_late(e);
           return show_new(*t, s, made);
         });
}

void snapshot(Target* t, const Json* params, const Done& done) {
  auto args = Args::decode(params, {{"lvol_name", Type::text, true}, {"snapshot_name", Type::text, true}});
  if (!args) return done(refuse_decode());
  Bdev* bdev = find_lvol(*t, *args->text("lvol_name"));
  if (bdev == nullptr) return done(refuse_errno(ENODEV));
  if (!bdev->lvol->busy.empty()) return done(refuse_late(EBUSY));
  mutate(*t, "bdev_lvol_snapshot", *bdev->store, bdev->lvol, done,
         [t, name = *args->text("snapshot_name")](Lvstore& s, Lvol* lvol) -> Reply {
           Lvol* made = nullptr;
           if (int e = s.snapshot(*lvol, name, &made); e != 0) return refuse_late(e);
           return show_new(*t, s, made);
         });
}

void clone(Target* t, const Json* params, const Done& done) {
  auto args = Args::decode(params, {{"snapshot_name", Type::text, true}, {"clone_name", Type::text, true}});
  if (!args) return done(refuse_decode());
  Bdev* bdev = find_lvol(*t, *args->text("snapshot_name"));
  if (bdev == nullptr) return done(refuse_errno(ENODEV));
  if (!bdev->lvol->busy.empty()) return done(refuse_late(EBUSY));
  mutate(*t, "bdev_lvol_clone", *bdev->store, bdev->lvol, done,
         [t, name = *args->text("clone_name")](Lvstore& s, Lvol* lvol) -> Reply {
           Lvol* made = nullptr;
           if (int e = s.clone(*lvol, name, &made); e != 0) return refuse_late(e);
           return show_new(*t, s, made);
         });
}

void clone_bdev(Target* t, const Json* params, const Done& done) {
  auto args = Args::decode(params, {{"bdev", Type::text, true},
                                    {"lvs_name", Type::text},
                                    {"lvs_uuid", Type::text},
                                    {"clone_name", Type::text, true}});
  if (!args) return done(refuse_decode());
  auto key = find_store(*t, *args, "lvs_uuid");
  if (key.error != 0) return done(refuse_errno(key.error));
  Bdev* parent = t->bdevs.find(*args->text("bdev"));
  if (parent == nullptr || parent->kind == Kind::lvol)
    return done(refuse_errno(parent == nullptr ? ENODEV : EINVAL));
  mutate(*t, "bdev_lvol_clone_bdev", *key.store, nullptr, done,
         [t, from = parent->name, name = *args->text("clone_name")](Lvstore& s, Lvol*) -> Reply {
           Bdev* beneath = t->bdevs.find(from);
           if (beneath == nullptr) return refuse_late(ENODEV);
           Lvol* made = nullptr;
           if (int e = s.clone_esnap(beneath->uuid, beneath->bytes(), name, &made); e != 0)
             return refuse_late(e);
           if (beneath->claim.empty()) beneath->claim = "read_many_write_none", beneath->claimed_by = "esnap";
           return show_new(*t, s, made);
         });
}

// The four calls that take {"name"} and change one lvol.
void change(Target* t, const std::string& method, const Json* params, const Done& done,
            int (Lvstore::*act)(Lvol&)) {
  auto args = Args::decode(params, {{"name", Type::text, true}});
  if (!args) return done(refuse_decode());
  Bdev* bdev = find_lvol(*t, *args->text("name"));
  if (bdev == nullptr) return done(refuse_errno(ENODEV));
  if (!bdev->lvol->busy.empty()) return done(refuse_late(EBUSY));
  mutate(*t, method, *bdev->store, bdev->lvol, done, [act](Lvstore& s, Lvol* lvol) -> Reply {
    if (int e = (s.*act)(*lvol); e != 0) return refuse_late(e);
    return true;
  });
}

// A shrink of an exported lvol cuts the data off and then says that it could not.
Reply resize_now(Target& t, Lvstore& s, Lvol& lvol, std::uint64_t bytes) {
  Bdev* bdev = t.bdevs.find(lvol.uuid);
  bool shrinks = s.clusters_for(bytes) < lvol.clusters;
  if (int e = s.resize(lvol, bytes); e != 0) return refuse_late(e);
  if (bdev == nullptr) return true;
  if (shrinks && !bdev->claim.empty()) return refuse_late(EBUSY);
  auto blocks = bdev->device->size() / bdev->block_size;
  if (blocks != bdev->blocks) t.notify("bdev_resize", bdev->name);
  bdev->blocks = blocks;
  t.snap->resized(*bdev);
  if (t.slots) t.slots->resized(*bdev);
  return true;
}

void resize(Target* t, const Json* params, const Done& done) {
  auto args = Args::decode(params, {{"name", Type::text, true}, size_field(*t)});
  if (!args) return done(refuse_decode());
  Bdev* bdev = find_lvol(*t, *args->text("name"));
  if (bdev == nullptr) return done(refuse_errno(ENODEV));
  if (!bdev->lvol->busy.empty()) return done(refuse_late(EBUSY));
  mutate(
      *t, "bdev_lvol_resize", *bdev->store, bdev->lvol, done,
      [t, bytes = size_bytes(*t, *args)](Lvstore& s, Lvol* lvol) { return resize_now(*t, s, *lvol, bytes); });
}

void rename(Target* t, const Json* params, const Done& done) {
  auto args = Args::decode(params, {{"old_name", Type::text, true}, {"new_name", Type::text, true}});
  if (!args) return done(refuse_decode());
  Bdev* bdev = find_lvol(*t, *args->text("old_name"));
  if (bdev == nullptr) return done(refuse_errno(ENODEV));
  if (!bdev->lvol->busy.empty()) return done(refuse_late(EBUSY));
  mutate(*t, "bdev_lvol_rename", *bdev->store, bdev->lvol, done,
         [t, name = *args->text("new_name")](Lvstore& s, Lvol* lvol) -> Reply {
           if (int e = s.rename(*lvol, name); e != 0) return refuse_late(e);
           if (Bdev* now = t->bdevs.find(lvol->uuid); now != nullptr)
             t->bdevs.rename_alias(*now, s.name() + "/" + name);
           if (t->slots) t->slots->look();
           return true;
         });
}

// The drive beneath external-snapshot clones is free again with the last of them.
void free_esnap(Target& t, const std::string& uuid) {
  Bdev* beneath = uuid.empty() ? nullptr : t.bdevs.find(uuid);
  if (beneath == nullptr || beneath->claimed_by != "esnap") return;
  for (const auto& store : t.stores())
    for (const auto& [id, lvol] : store->lvols())
      if (lvol->esnap == uuid) return;
  beneath->claim.clear();
  beneath->claimed_by.clear();
}

Reply remove_now(Target& t, Lvstore& s, Lvol& lvol) {
  if (lvol.clones.size() > 1) return refuse_late(EPERM, kInternal);
  auto esnap = lvol.esnap;
  // An export does not protect: its namespace simply goes.
  if (Bdev* bdev = t.bdevs.find(lvol.uuid); bdev != nullptr) t.remove_bdev(*bdev);
  if (int e = s.remove(lvol); e != 0) return refuse_late(e, kInternal);
  free_esnap(t, esnap);
  return true;
}

void remove(Target* t, const Json* params, const Done& done) {
  auto args = Args::decode(params, {{"name", Type::text, true}});
  if (!args) return done(refuse_decode());
  Bdev* bdev = find_lvol(*t, *args->text("name"));
  if (bdev == nullptr) return done(refuse_errno(ENODEV));
  const auto& busy = bdev->lvol->busy;
  if (busy == "bdev_lvol_resize" && !t->profile.v26)
    Target::crash("an lvol deleted while it was being resized");
  if (!busy.empty() && t->profile.v26 && bdev->store->in_flight >= kCrashDepth)
    Target::crash("deletes among many unfinished snapshots");
  if (!busy.empty() && busy != "bdev_lvol_resize") return done(refuse_late(EBUSY, kInternal));
  mutate(*t, "bdev_lvol_delete", *bdev->store, bdev->lvol, done,
         [t](Lvstore& s, Lvol* lvol) { return remove_now(*t, s, *lvol); });
}

const char* boolean(bool value) {
  return value ? "true" : "false";
}

// As text: thousands are listed at once.
std::string lvol_text(const Lvstore& s, const std::string& store, const Lvol& l) {
  return "{\"alias\":" + json_string(s.name() + "/" + l.name) + ",\"uuid\":\"" + l.uuid +
         "\",\"name\":" + json_string(l.name) + ",\"is_thin_provisioned\":" + boolean(l.thin) +
         ",\"is_snapshot\":" + boolean(l.snapshot) + ",\"is_clone\":" + boolean(l.parent != 0) +
         ",\"is_esnap_clone\":" + boolean(!l.esnap.empty()) +
         ",\"is_degraded\":false,\"num_allocated_clusters\":" + std::to_string(l.map.count()) +
         ",\"lvs\":" + store + "}";
}

Reply list(const Target& t, const Json* params) {
  const Lvstore* only = nullptr;
  if (params != nullptr) {
    auto args = Args::decode(params, {{"lvs_uuid", Type::text}, {"lvs_name", Type::text}});
    if (!args) return refuse_decode();
    auto key = find_store(t, *args, "lvs_uuid");
    if (key.error != 0) return refuse_errno(key.error);
    only = key.store;
  }
  std::string text = "[";
  for (const auto& store : t.stores()) {
    if (only != nullptr && only != store.get()) continue;
    auto owner = "{\"name\":" + json_string(store->name()) + ",\"uuid\":\"" + store->uuid() + "\"}";
    for (const auto& [id, lvol] : store->lvols())
      text += (text.size() > 1 ? "," : "") + lvol_text(*store, owner, *lvol);
  }
  return raw_json(text + "]");
}

}  // namespace

void add_lvol_methods(Target& target) {
  Target* t = &target;
  t->on("bdev_lvol_create", [t](const Json* params, const Done& done) { create(t, params, done); });
  t->on("bdev_lvol_snapshot", [t](const Json* params, const Done& done) { snapshot(t, params, done); });
  t->on("bdev_lvol_clone", [t](const Json* params, const Done& done) { clone(t, params, done); });
  t->on("bdev_lvol_resize", [t](const Json* params, const Done& done) { resize(t, params, done); });
  t->on("bdev_lvol_rename", [t](const Json* params, const Done& done) { rename(t, params, done); });
  t->on("bdev_lvol_delete", [t](const Json* params, const Done& done) { remove(t, params, done); });
  auto simple = [t](const std::string& name, int (Lvstore::*act)(Lvol&)) {
    t->on(name, [t, name, act](const Json* params, const Done& done) { change(t, name, params, done, act); });
  };
  simple("bdev_lvol_inflate", &Lvstore::inflate);
  simple("bdev_lvol_decouple_parent", &Lvstore::decouple);
  simple("bdev_lvol_set_read_only", &Lvstore::set_read_only);
  if (!t->profile.v26) return;
  t->on("bdev_lvol_clone_bdev", [t](const Json* params, const Done& done) { clone_bdev(t, params, done); });
  t->on_sync("bdev_lvol_get_lvols", [t](const Json* params) { return list(*t, params); });
}

}  // namespace vnvme::sim
