// A pool of two hosts, "here" and "there"; the SR "sr" is ours, the SR "theirs" the other host's.
#pragma once
#include <gtest/gtest.h>

#include "model/ownership.hpp"
#include "model/vm_plan.hpp"

namespace vnvme::model {

class PoolFixture : public testing::Test {
 protected:
  const DpuId dpu{"unix:/dpu"};
  const SrId sr{"11111111-2222-4333-8444-555555555555"};
  xapi::Picture picture;
  World world;
  HostFunctions functions{{"0000:81:00.2", {dpu, FunctionId("pf0vf2"), "S2"}},
                          {"0000:81:00.3", {dpu, FunctionId("pf0vf3"), "S3"}}};

  void SetUp() override {
    xapi::Vm dom0;
    dom0.ref = xapi::Ref("dom0");
    dom0.uuid = VmId("dom0");
    dom0.is_control_domain = true;
    picture.vms[dom0.ref] = dom0;
    SrRecord record;
    record.id = sr;
    record.dpu = dpu;
    record.name = "fast";
    record.state = SrState::ready;
    record.pool = PoolId("pool");
    world.apply(Put<SrRecord>{record});
    for (const char* name : {"here", "there"}) {
      xapi::Host& host = picture.hosts[xapi::Ref(name)];
      host.ref = xapi::Ref(name);
      host.uuid = name;
    }
    add_sr("sr", sr.value, "here");
    add_sr("theirs", "99999999-2222-4333-8444-555555555555", "there");
  }
  void add_sr(const std::string& ref, const std::string& uuid, const std::string& host) {
    xapi::Sr& one = picture.srs[xapi::Ref(ref)];
    one.ref = xapi::Ref(ref);
    one.uuid = SrId(uuid);
    one.type = "vnvme";
    xapi::Pbd& pbd = picture.pbds[xapi::Ref("pbd-" + ref)];
    pbd.SR = one.ref;
    pbd.host = xapi::Ref(host);
  }
  xapi::Vm& vm(const std::string& name) {
    xapi::Vm& out = picture.vms[xapi::Ref(name)];
    if (!out.ref.empty()) return out;
    out.ref = xapi::Ref(name);
    out.uuid = VmId(name);
    out.domain_type = "hvm";
    return out;
  }
  xapi::Vdi& vdi(const std::string& name, const std::string& in = "sr") {
    xapi::Vdi& out = picture.vdis[xapi::Ref(name)];
    if (!out.ref.empty()) return out;
    out.ref = xapi::Ref(name);
    out.uuid = out.location = name;
    out.SR = xapi::Ref(in);
    if (in == "sr") {
      VolumeRecord v;
      v.id = VolumeId(name);
      v.sr = sr;
      v.state = VolumeState::ready;
      v.dpu_id = DpuVolumeId("lvol-" + name);
      v.seq = world.next_seq();
      world.apply(Put<VolumeRecord>{v});
    }
    return out;
  }
  xapi::Vbd& disk(const std::string& vm_name, const std::string& vdi_name, const std::string& in = "sr") {
    vm(vm_name);
    vdi(vdi_name, in);
    xapi::Vbd& vbd = picture.vbds[xapi::Ref("vbd-" + vdi_name)];
    vbd.ref = xapi::Ref("vbd-" + vdi_name);
    vbd.uuid = vbd.ref.value;
    vbd.VM = xapi::Ref(vm_name);
    vbd.VDI = xapi::Ref(vdi_name);
    vbd.type = "Disk";
    vbd.userdevice = "4";
    return vbd;
  }
  void reserve(const std::string& vm_name, const std::string& function, const std::string& serial = "S2") {
    world.apply(Put<ReservationRecord>{{VmId(vm_name), dpu, FunctionId(function), serial}});
  }
  void attach(const std::string& vm_name, const std::string& volume, AttachState state,
              AttachMode mode = AttachMode::read_write, const std::string& function = "pf0vf2") {
    AttachmentRecord a;
    a.volume = VolumeId(volume);
    a.owner = vm_name == kDom0 ? std::string(kDom0) : owner_of_vm(VmId(vm_name));
    a.function = FunctionId(function);
    a.dpu = dpu;
    a.nsid = 1;
    a.mode = mode;
    a.state = state;
    world.apply(Put<AttachmentRecord>{a});
  }
};

}  // namespace vnvme::model
