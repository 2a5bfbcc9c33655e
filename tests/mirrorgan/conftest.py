"""Checkpoints of random networks; and what the tests of released files share: how Python 2 wrote them, and small
networks under their names.

The networks are written from the facts of papers and released code, in the released naming; none of ours is in them.
"""

import pickle
import shutil
import struct
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from mirrorgan import MirrorGAN
from tests.mirrorgan.tiny_checkpoint import CAPTION, MIRRORGAN, ONE_PICTURE, write_checkpoint

WORDS = ("<end>", "this", "bird", "red", "small", "has", "a", "wings", "blue", "beak", "with")


class Python2Pickler(pickle._Pickler):
    """Writes every text as Python 2 wrote its `str`: bytes of no encoding."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_text(self, text, encoding="utf-8"):
        raw = text.encode(encoding)
        if len(raw) < 256:
            self.write(pickle.SHORT_BINSTRING + struct.pack("<B", len(raw)) + raw)
        else:
            self.write(pickle.BINSTRING + struct.pack("<i", len(raw)) + raw)
        self.memoize(text)

    dispatch[str] = save_text


def dump_python2(content, file):
    Python2Pickler(file, protocol=2).dump(content)


def tables(words):
    return dict(enumerate(words)), {word: number for number, word in enumerate(words)}


def captions_of(words=WORDS):
    """What captions.pickle holds: captions of two training pictures and two test pictures, and the dictionary."""
    return [[[1, 2, 5, 3, 7], [6, 4, 3, 2]], [[6, 8, 2], [4, 2, 10, 6, 9]], *tables(words)]


def randomize(module):
    """Random weights and batch statistics that keep activations near 1."""
    for child in module.modules():
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
            if child.affine:
                nn.init.uniform_(child.weight, 0.5, 1.0)
                nn.init.uniform_(child.bias, -0.3, 0.3)
            nn.init.uniform_(child.running_mean, -0.3, 0.3)
            nn.init.uniform_(child.running_var, 0.5, 1.5)
        elif isinstance(child, nn.Conv2d | nn.Linear):
            nn.init.xavier_normal_(child.weight_bar if hasattr(child, "weight_bar") else child.weight)
            if child.bias is not None:
                nn.init.uniform_(child.bias, -0.3, 0.3)
    for name, parameter in module.named_parameters():
        if name.endswith("gamma"):  # gates, which start shut
            nn.init.uniform_(parameter, 0.3, 0.6)
    return module.eval().requires_grad_(False)


# ------------------------------------------------------------------------------------------- encoders, STREAM


class RnnEncoder(nn.Module):
    """DAMSM's text encoder: w (B, 2H, L), s (B, 2H). Takes lengths that fall."""

    def __init__(self, words, embedding, hidden):
        super().__init__()
        self.encoder = nn.Embedding(words, embedding)
        self.rnn = nn.LSTM(embedding, hidden, batch_first=True, bidirectional=True)

    def forward(self, captions, lengths):
        packed = nn.utils.rnn.pack_padded_sequence(self.encoder(captions), lengths, batch_first=True)
        outputs, (state, _) = self.rnn(packed)
        outputs, _ = nn.utils.rnn.pad_packed_sequence(outputs, batch_first=True)
        return outputs.transpose(1, 2), state.transpose(0, 1).reshape(len(captions), -1)


class CnnEncoder(nn.Module):
    """DAMSM's image encoder: regions (B, D, 17, 17), global (B, D)."""

    def __init__(self, text_dim):
        super().__init__()
        net = torchvision.models.inception_v3(weights=None, aux_logits=False, transform_input=False, init_weights=False)
        for name, child in net.named_children():
            if name.startswith(("Conv2d", "Mixed")):
                self.add_module(name, child)
        self.emb_features = nn.Conv2d(768, text_dim, 1, bias=False)
        self.emb_cnn_code = nn.Linear(2048, text_dim)

    def forward(self, x):
        x = F.interpolate(x, size=(299, 299), mode="bilinear", align_corners=False)
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, 2)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(F.max_pool2d(x, 3, 2))))
        for name in "abcde":
            x = getattr(self, f"Mixed_6{name}")(x)
        features = x
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        return self.emb_features(features), self.emb_cnn_code(F.avg_pool2d(x, 8).flatten(1))


class CaptionCnn(nn.Module):
    def __init__(self, embedding):
        super().__init__()
        self.resnet = nn.Sequential(*list(torchvision.models.resnet152(weights=None).children())[:-1])
        self.linear = nn.Linear(2048, embedding)
        self.bn = nn.BatchNorm1d(embedding, momentum=0.01)

    def forward(self, x):
        x = F.interpolate(x, size=(224, 224), mode="bilinear", align_corners=False)
        return self.bn(self.linear(self.resnet(x).flatten(1)))


class CaptionRnn(nn.Module):
    def __init__(self, words, embedding, hidden):
        super().__init__()
        self.embed = nn.Embedding(words, embedding)
        self.lstm = nn.LSTM(embedding, hidden, 1, batch_first=True)
        self.linear = nn.Linear(hidden, words)

    def forward(self, features, captions, lengths):
        """Logits of all words of all captions in a row, step by step."""
        inputs = torch.cat([features[:, None], self.embed(captions)], 1)
        packed = nn.utils.rnn.pack_padded_sequence(inputs, lengths, batch_first=True)
        return self.linear(self.lstm(packed)[0].data)

    def sample(self, features, steps=20):
        chosen, inputs, state = [], features[:, None], None
        for _ in range(steps):
            outputs, state = self.lstm(inputs, state)
            best = self.linear(outputs[:, 0]).max(1)[1]
            chosen.append(best)
            inputs = self.embed(best)[:, None]
        return torch.stack(chosen, 1)


# ------------------------------------------------------------------------------------------ AttnGAN, MirrorGAN


class Glu(nn.Module):
    def forward(self, x):
        half = x.shape[1] // 2
        return x[:, :half] * torch.sigmoid(x[:, half:])


def conv3x3(before, after):
    return nn.Conv2d(before, after, 3, 1, 1, bias=False)


def up(before, after):
    double = nn.Upsample(scale_factor=2, mode="nearest")
    return nn.Sequential(double, conv3x3(before, 2 * after), nn.BatchNorm2d(2 * after), Glu())


class CaNet(nn.Module):
    def __init__(self, text_dim, condition):
        super().__init__()
        self.condition = condition
        self.fc = nn.Linear(text_dim, 4 * condition)

    def forward(self, s, eps):
        both = Glu()(self.fc(s))
        return both[:, : self.condition] + eps * (0.5 * both[:, self.condition :]).exp()


class FirstNet(nn.Module):
    def __init__(self, width, inputs):
        super().__init__()
        self.width = width
        self.fc = nn.Sequential(nn.Linear(inputs, width * 32, bias=False), nn.BatchNorm1d(width * 32), Glu())
        for k in range(4):
            self.add_module(f"upsample{k + 1}", up(width // 2**k, width // 2 ** (k + 1)))

    def forward(self, z, c):
        x = self.fc(torch.cat([c, z], 1)).view(-1, self.width, 4, 4)
        for k in range(4):
            x = getattr(self, f"upsample{k + 1}")(x)
        return x


class Attention(nn.Module):
    """Words, and MirrorGAN's sentence beside them."""

    def __init__(self, ngf, text_dim, sentence):
        super().__init__()
        self.conv_context = nn.Conv2d(text_dim, ngf, 1, bias=False)
        if sentence:
            self.linear = nn.Linear(100, ngf)
            self.conv_sentence_vis = nn.Conv2d(ngf, ngf, 1, bias=False)

    def words(self, h, w, mask, order):
        """mask (B, L), True at padding; order "legacy" repeats it batch by batch."""
        batch, channels, side, _ = h.shape
        target = h.view(batch, channels, -1).transpose(1, 2)
        source = self.conv_context(w[..., None]).squeeze(3)
        scores = torch.bmm(target, source).view(batch * side * side, -1)
        repeated = mask.repeat(side * side, 1) if order == "legacy" else mask.repeat_interleave(side * side, 0)
        maps = scores.masked_fill(repeated, -float("inf")).softmax(1).view(batch, side * side, -1).transpose(1, 2)
        return torch.bmm(source, maps).view(batch, channels, side, side), maps.view(batch, -1, side, side)

    def sentence(self, h, c):
        v = self.linear(c)[:, :, None, None].repeat(1, 1, *h.shape[2:])
        return v * self.conv_sentence_vis(h * v).softmax(1)


class Residual(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.block = nn.Sequential(conv3x3(c, 2 * c), nn.BatchNorm2d(2 * c), Glu(), conv3x3(c, c), nn.BatchNorm2d(c))

    def forward(self, x):
        return x + self.block(x)


class NextNet(nn.Module):
    def __init__(self, ngf, text_dim, residual, sentence):
        super().__init__()
        self.att = Attention(ngf, text_dim, sentence)
        self.residual = nn.Sequential(*[Residual(2 * ngf) for _ in range(residual)])
        self.upsample = up(2 * ngf, ngf)
        self.conv = nn.Conv2d(3 * ngf, 2 * ngf, 1, bias=False) if sentence else None

    def forward(self, h, c, w, mask, order):
        heard, maps = self.att.words(h, w, mask, order)
        joined = torch.cat([h, heard], 1)
        if self.conv is not None:
            joined = self.conv(torch.cat([joined, self.att.sentence(h, c)], 1))
        return self.upsample(self.residual(joined)), maps


class ImageNet(nn.Module):
    def __init__(self, ngf):
        super().__init__()
        self.img = nn.Sequential(conv3x3(ngf, 3), nn.Tanh())


class GNet(nn.Module):
    """AttnGAN's or, with `sentence`, MirrorGAN's; `dcgan` has one head, and no residual blocks."""

    def __init__(self, ngf=4, text_dim=16, residual=2, sentence=True, stages=3, noise=100, dcgan=False):
        super().__init__()
        self.ca_net = CaNet(text_dim, 100)
        self.h_net1 = FirstNet(16 * ngf, 100 + noise)
        for k in range(2, stages + 1):
            self.add_module(f"h_net{k}", NextNet(ngf, text_dim, 0 if dcgan else residual, sentence))
        if dcgan:
            self.img_net = ImageNet(ngf)
        else:
            for k in range(1, stages + 1):
                self.add_module(f"img_net{k}", ImageNet(ngf))
        self.stages, self.dcgan = stages, dcgan

    def forward(self, z, eps, s, w, mask, order="right"):
        c = self.ca_net(s, eps)
        h = self.h_net1(z, c)
        images, maps = [] if self.dcgan else [self.img_net1.img(h)], []
        for k in range(2, self.stages + 1):
            h, found = getattr(self, f"h_net{k}")(h, c, w, mask, order)
            maps.append(found)
            if not self.dcgan:
                images.append(getattr(self, f"img_net{k}").img(h))
        return ([self.img_net.img(h)] if self.dcgan else images), maps


def halving(before, after):
    return [nn.Conv2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.LeakyReLU(0.2)]


def keeping(before, after):
    return [conv3x3(before, after), nn.BatchNorm2d(after), nn.LeakyReLU(0.2)]


class Logits(nn.Module):
    def __init__(self, ndf, text_dim):
        super().__init__()
        self.jointConv = nn.Sequential(*keeping(8 * ndf + text_dim, 8 * ndf)) if text_dim else None
        self.outlogits = nn.Sequential(nn.Conv2d(8 * ndf, 1, 4, 4), nn.Sigmoid())

    def forward(self, features, s=None):
        if self.jointConv is not None:
            features = self.jointConv(torch.cat([features, s[:, :, None, None].repeat(1, 1, 4, 4)], 1))
        return self.outlogits(features).view(-1)


class DNet(nn.Module):
    def __init__(self, size, ndf=2, text_dim=16, unconditional=True):
        super().__init__()
        first = [nn.Conv2d(3, ndf, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
        first += [layer for k in (1, 2, 4) for layer in halving(k * ndf, 2 * k * ndf)]
        self.img_code_s16 = nn.Sequential(*first)
        if size == 128:
            self.img_code_s32 = nn.Sequential(*halving(8 * ndf, 16 * ndf))
            self.img_code_s32_1 = nn.Sequential(*keeping(16 * ndf, 8 * ndf))
        if size == 256:
            self.img_code_s32 = nn.Sequential(*halving(8 * ndf, 16 * ndf))
            self.img_code_s64 = nn.Sequential(*halving(16 * ndf, 32 * ndf))
            self.img_code_s64_1 = nn.Sequential(*keeping(32 * ndf, 16 * ndf))
            self.img_code_s64_2 = nn.Sequential(*keeping(16 * ndf, 8 * ndf))
        self.UNCOND_DNET = Logits(ndf, 0) if unconditional else None
        self.COND_DNET = Logits(ndf, text_dim)

    def forward(self, x):
        for name, child in self.named_children():
            if name.startswith("img_code"):
                x = child(x)
        return x


# -------------------------------------------------------------------------------------------------- StackGAN


def doubled(before, after):
    double = nn.Upsample(scale_factor=2, mode="nearest")
    return nn.Sequential(double, conv3x3(before, after), nn.BatchNorm2d(after), nn.ReLU())


class FlatCaNet(nn.Module):
    """StackGAN's conditioning in PyTorch: ReLU on mean and log-variance."""

    def __init__(self, text_dim, condition):
        super().__init__()
        self.condition, self.fc = condition, nn.Linear(text_dim, 2 * condition)

    def forward(self, s, eps):
        both = self.fc(s).relu()
        mu, logvar = both[:, : self.condition], both[:, self.condition :]
        return eps * (0.5 * logvar).exp() + mu, mu


class FirstPhaseG(nn.Module):
    def __init__(self, gf=4, text_dim=16, condition=5, noise=7):
        super().__init__()
        self.ca_net, self.wide = FlatCaNet(text_dim, condition), 8 * gf
        start = nn.Linear(noise + condition, 16 * 8 * gf, bias=False)
        self.fc = nn.Sequential(start, nn.BatchNorm1d(16 * 8 * gf), nn.ReLU())
        for k in range(4):
            self.add_module(f"upsample{k + 1}", doubled(8 * gf // 2**k, 4 * gf // 2**k))
        self.img = nn.Sequential(conv3x3(gf // 2, 3), nn.Tanh())

    def forward(self, z, eps, s):
        c, mu = self.ca_net(s, eps)
        x = self.fc(torch.cat([z, c], 1)).view(-1, self.wide, 4, 4)
        for k in range(4):
            x = getattr(self, f"upsample{k + 1}")(x)
        return self.img(x), mu


class FlatResidual(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.block = nn.Sequential(conv3x3(c, c), nn.BatchNorm2d(c), nn.ReLU(), conv3x3(c, c), nn.BatchNorm2d(c))

    def forward(self, x):
        return (x + self.block(x)).relu()


class SecondPhaseG(nn.Module):
    def __init__(self, gf=4, text_dim=16, condition=5, noise=7, residual=2):
        super().__init__()
        self.STAGE1_G = FirstPhaseG(gf, text_dim, condition, noise)
        self.ca_net = FlatCaNet(text_dim, condition)
        layers = [conv3x3(3, gf), nn.ReLU()]
        for k in (1, 2):
            layers += [nn.Conv2d(k * gf, 2 * k * gf, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * k * gf), nn.ReLU()]
        self.encoder = nn.Sequential(*layers)
        self.hr_joint = nn.Sequential(conv3x3(4 * gf + condition, 4 * gf), nn.BatchNorm2d(4 * gf), nn.ReLU())
        self.residual = nn.Sequential(*[FlatResidual(4 * gf) for _ in range(residual)])
        wide = [4 * gf, 2 * gf, gf, gf // 2, gf // 4]
        for k in range(4):
            self.add_module(f"upsample{k + 1}", doubled(wide[k], wide[k + 1]))
        self.img = nn.Sequential(conv3x3(gf // 4, 3), nn.Tanh())

    def forward(self, z, first_eps, eps, s):
        small, _ = self.STAGE1_G(z, first_eps, s)
        x = self.encoder(small)
        c, mu = self.ca_net(s, eps)
        x = self.residual(self.hr_joint(torch.cat([x, c[:, :, None, None].repeat(1, 1, *x.shape[2:])], 1)))
        for k in range(4):
            x = getattr(self, f"upsample{k + 1}")(x)
        return small, self.img(x), mu


class FlatLogits(nn.Module):
    def __init__(self, ndf, condition):
        super().__init__()
        last = [nn.Conv2d(8 * ndf, 1, 4, 4), nn.Sigmoid()]
        self.outlogits = nn.Sequential(*(keeping(8 * ndf + condition, 8 * ndf) if condition else []), *last)

    def forward(self, x, c=None):
        x = x if c is None else torch.cat([x, c[:, :, None, None].repeat(1, 1, 4, 4)], 1)
        return self.outlogits(x).view(-1)


class PhaseD(nn.Module):
    """StackGAN's discriminators in PyTorch, of 64 pixels or of 256."""

    def __init__(self, size, ndf=2, condition=5):
        super().__init__()
        layers = [nn.Conv2d(3, ndf, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
        for k in (1, 2, 4) if size == 64 else (1, 2, 4, 8, 16):
            layers += halving(k * ndf, 2 * k * ndf)
        if size == 256:
            layers += [*keeping(32 * ndf, 16 * ndf), *keeping(16 * ndf, 8 * ndf)]
        self.encode_img = nn.Sequential(*layers)
        self.get_cond_logits = FlatLogits(ndf, condition)
        self.get_uncond_logits = FlatLogits(ndf, 0) if size == 256 else None


# ---------------------------------------------------------------------------------------------------- DM-GAN


class MemoryNet(nn.Module):
    """A later stage of DM-GAN: words w (B, D, L) are written into a memory that every place reads."""

    def __init__(self, ngf, text_dim, residual):
        super().__init__()
        self.A, self.B = nn.Linear(text_dim, 1, bias=False), nn.Linear(ngf, 1, bias=False)
        for name, before, after in (
            ("M_r", ngf, 2 * ngf), ("M_w", text_dim, 2 * ngf), ("key", 2 * ngf, ngf), ("value", 2 * ngf, ngf),
        ):  # fmt: skip
            self.add_module(name, nn.Sequential(nn.Conv1d(before, after, 1), nn.ReLU()))
        self.response_gate = nn.Sequential(nn.Conv2d(2 * ngf, 1, 1), nn.Sigmoid())
        self.residual = nn.Sequential(*[Residual(2 * ngf) for _ in range(residual)])
        self.upsample = up(2 * ngf, ngf)

    def forward(self, h, c, w, mask, order):
        batch, channels, side, _ = h.shape
        mean = h.flatten(2).mean(2).detach()
        gate = torch.sigmoid(self.A(w.transpose(1, 2)) + self.B(mean)[:, :, None].repeat(1, w.shape[2], 1))
        gate = gate.transpose(1, 2)
        m = self.M_w(w) * gate + self.M_r(mean[:, :, None]).repeat(1, 1, w.shape[2]) * (1 - gate)
        keys, values = self.key(m), self.value(m)
        scores = torch.bmm(h.flatten(2).transpose(1, 2), keys).view(batch * side * side, -1)
        repeated = mask.repeat(side * side, 1) if order == "legacy" else mask.repeat_interleave(side * side, 0)
        maps = scores.masked_fill(repeated, -float("inf")).softmax(1).view(batch, side * side, -1).transpose(1, 2)
        read = torch.bmm(values, maps).view(batch, channels, side, side)
        r = self.response_gate(torch.cat([h, read], 1))
        answered = h * (1 - r) + r * read
        return self.upsample(self.residual(torch.cat([answered, answered], 1))), maps.view(batch, -1, side, side)


class MemoryGNet(GNet):
    def __init__(self, ngf=4, text_dim=16, residual=2, stages=3, noise=100):
        super().__init__(ngf, text_dim, residual, False, stages, noise)
        for k in range(2, stages + 1):
            setattr(self, f"h_net{k}", MemoryNet(ngf, text_dim, residual))


class Normalised(nn.Module):
    """A convolution whose weight is divided by u' W v after one power iteration, whatever the mode."""

    def __init__(self, module):
        super().__init__()
        self.module = module
        weight = module._parameters.pop("weight").detach()
        rows, columns = weight.flatten(1).shape
        for name, values in (("weight_u", torch.randn(rows)), ("weight_v", torch.randn(columns))):
            module.register_parameter(name, nn.Parameter(values / values.norm(), requires_grad=False))
        module.register_parameter("weight_bar", nn.Parameter(weight))

    def forward(self, x):
        u, v, weight = (self.module._parameters[name] for name in ("weight_u", "weight_v", "weight_bar"))
        matrix = weight.flatten(1)
        v.data = matrix.data.t().mv(u.data)
        v.data /= v.data.norm() + 1e-12
        u.data = matrix.data.mv(v.data)
        u.data /= u.data.norm() + 1e-12
        self.module.weight = weight / u.dot(matrix.mv(v))
        return self.module(x)


def normalised_halving(before, after):
    return [Normalised(nn.Conv2d(before, after, 4, 2, 1)), nn.LeakyReLU(0.2)]


def normalised_keeping(before, after):
    return [Normalised(nn.Conv2d(before, after, 3, 1, 1)), nn.LeakyReLU(0.2)]


class NormalisedDNet(nn.Module):
    """DM-GAN's discriminators."""

    def __init__(self, size, ndf=2, text_dim=16):
        super().__init__()
        first = [layer for before, k in ((3, 1), (ndf, 2), (2 * ndf, 4), (4 * ndf, 8))
                 for layer in normalised_halving(before, k * ndf)]  # fmt: skip
        self.img_code_s16 = nn.Sequential(*first)
        if size == 128:
            self.img_code_s32 = nn.Sequential(*normalised_halving(8 * ndf, 16 * ndf))
            self.img_code_s32_1 = nn.Sequential(*normalised_keeping(16 * ndf, 8 * ndf))
        if size == 256:
            self.img_code_s32 = nn.Sequential(*normalised_halving(8 * ndf, 16 * ndf))
            self.img_code_s64 = nn.Sequential(*normalised_halving(16 * ndf, 32 * ndf))
            self.img_code_s64_1 = nn.Sequential(*normalised_keeping(32 * ndf, 16 * ndf))
            self.img_code_s64_2 = nn.Sequential(*normalised_keeping(16 * ndf, 8 * ndf))
        self.UNCOND_DNET, self.COND_DNET = Logits(ndf, 0), Logits(ndf, text_dim)
        self.COND_DNET.jointConv = nn.Sequential(*normalised_keeping(8 * ndf + text_dim, 8 * ndf))

    forward = DNet.forward


# --------------------------------------------------------------------------------------------- SSA-GAN, DF-GAN


class TwoLinear(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.linear1, self.linear2 = nn.Linear(inputs, hidden), nn.Linear(hidden, outputs)

    def forward(self, s):
        return self.linear2(self.linear1(s).relu())[:, :, None, None]


class SemanticAffine(nn.Module):
    def __init__(self, c, text_dim):
        super().__init__()
        self.batch_norm2d = nn.BatchNorm2d(c, affine=False)
        self.fc_gamma, self.fc_beta = TwoLinear(text_dim, text_dim, c), TwoLinear(text_dim, text_dim, c)

    def forward(self, x, s, m):
        return self.batch_norm2d(x) * (1 + m * self.fc_gamma(s)) + m * self.fc_beta(s)


def mask_net(c):
    return nn.Sequential(nn.Conv2d(c, 100, 3, 1, 1), nn.BatchNorm2d(100), nn.ReLU(), nn.Conv2d(100, 1, 1))


class SemanticBlock(nn.Module):
    def __init__(self, before, after, text_dim, last):
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))
        self.c1, self.c2 = nn.Conv2d(before, after, 3, 1, 1), nn.Conv2d(after, after, 3, 1, 1)
        self.affine0, self.affine2 = SemanticAffine(before, text_dim), SemanticAffine(after, text_dim)
        if before != after:
            self.c_sc = nn.Conv2d(before, after, 1)
        self.conv_mask = None if last else mask_net(after)

    def forward(self, x, s, raw):
        m = torch.sigmoid(F.interpolate(raw, size=x.shape[2:], mode="bilinear", align_corners=True))
        y = self.c1(self.affine0(x, s, m).relu())
        y = self.c2(self.affine2(y, s, m).relu())
        y = (self.c_sc(x) if hasattr(self, "c_sc") else x) + self.gamma * y
        return y, None if self.conv_mask is None else self.conv_mask(y), m


class SemanticG(nn.Module):
    """SSA-GAN's NetG: picture and seven masks."""

    def __init__(self, nf=2, text_dim=16, noise=100):
        super().__init__()
        self.fc, self.wide = nn.Linear(noise, 8 * nf * 16), 8 * nf
        self.conv_mask = mask_net(8 * nf)
        widths = [8, 8, 8, 8, 8, 4, 2, 1]
        for k in range(7):
            self.add_module(f"block{k}", SemanticBlock(widths[k] * nf, widths[k + 1] * nf, text_dim, k == 6))
        self.conv_img = nn.Sequential(nn.BatchNorm2d(nf), nn.LeakyReLU(0.2), nn.Conv2d(nf, 3, 3, 1, 1), nn.Tanh())

    def forward(self, z, s):
        x = self.fc(z).view(-1, self.wide, 4, 4)
        raw, masks = self.conv_mask(x), []
        for k in range(7):
            if k:
                x = F.interpolate(x, scale_factor=2)
            x, raw, m = getattr(self, f"block{k}")(x, s, raw)
            masks.append(m)
        return self.conv_img(x), masks


class DownBlock(nn.Module):
    def __init__(self, before, after):
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))
        self.conv_r = nn.Sequential(
            nn.Conv2d(before, after, 4, 2, 1, bias=False), nn.LeakyReLU(0.2),
            nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.LeakyReLU(0.2),
        )  # fmt: skip
        self.conv_s, self.learned = nn.Conv2d(before, after, 1), before != after

    def forward(self, x):
        return F.avg_pool2d(self.conv_s(x) if self.learned else x, 2) + self.gamma * self.conv_r(x)


class JointHead(nn.Module):
    def __init__(self, c, nf, text_dim):
        super().__init__()
        self.joint_conv = nn.Sequential(
            nn.Conv2d(c + text_dim, 2 * nf, 3, 1, 1, bias=False), nn.LeakyReLU(0.2),
            nn.Conv2d(2 * nf, 1, 4, 1, 0, bias=False),
        )  # fmt: skip

    def forward(self, features, s):
        return self.joint_conv(torch.cat([features, s[:, :, None, None].repeat(1, 1, 4, 4)], 1)).view(-1)


class OneWayD(nn.Module):
    """SSA-GAN's NetD (`widest` 16, its head inside), or DF-GAN's (8, its head NetC apart)."""

    def __init__(self, widest, nf=2, text_dim=16):
        super().__init__()
        self.conv_img = nn.Conv2d(3, nf, 3, 1, 1)
        widths = [1, 2, 4, 8, widest, widest, widest]
        blocks = [DownBlock(widths[k] * nf, widths[k + 1] * nf) for k in range(6)]
        if widest == 16:
            for k, block in enumerate(blocks):
                self.add_module(f"block{k}", block)
            self.COND_DNET = JointHead(widest * nf, nf, text_dim)
        else:
            self.DBlocks = nn.ModuleList(blocks)
        self.blocks = tuple(blocks)

    def forward(self, x):
        x = self.conv_img(x)
        for block in self.blocks:
            x = block(x)
        return x


class DeepAffine(nn.Module):
    def __init__(self, c, condition):
        super().__init__()
        self.fc_gamma, self.fc_beta = TwoLinear(condition, c, c), TwoLinear(condition, c, c)

    def forward(self, x, y):
        return F.leaky_relu(self.fc_gamma(y) * x + self.fc_beta(y), 0.2)


class Fuse(nn.Module):
    def __init__(self, c, condition):
        super().__init__()
        self.affine0, self.affine1 = DeepAffine(c, condition), DeepAffine(c, condition)

    def forward(self, x, y):
        return self.affine1(self.affine0(x, y), y)


class DeepBlock(nn.Module):
    def __init__(self, before, after, condition):
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(before, after, 3, 1, 1), nn.Conv2d(after, after, 3, 1, 1)
        self.fuse1, self.fuse2 = Fuse(before, condition), Fuse(after, condition)
        if before != after:
            self.c_sc = nn.Conv2d(before, after, 1)

    def forward(self, x, y):
        x = F.interpolate(x, scale_factor=2)
        residual = self.c2(self.fuse2(self.c1(self.fuse1(x, y)), y))
        return (self.c_sc(x) if hasattr(self, "c_sc") else x) + residual


class DeepG(nn.Module):
    """DF-GAN's NetG."""

    def __init__(self, nf=2, text_dim=16, noise=100):
        super().__init__()
        self.fc, self.wide = nn.Linear(noise, 8 * nf * 16), 8 * nf
        widths = [8, 8, 8, 8, 4, 2, 1]
        self.GBlocks = nn.ModuleList(
            [DeepBlock(widths[k] * nf, widths[k + 1] * nf, noise + text_dim) for k in range(6)]
        )
        self.to_rgb = nn.Sequential(nn.LeakyReLU(0.2), nn.Conv2d(nf, 3, 3, 1, 1), nn.Tanh())

    def forward(self, z, s):
        x, y = self.fc(z).view(-1, self.wide, 4, 4), torch.cat([z, s], 1)
        for block in self.GBlocks:
            x = block(x, y)
        return self.to_rgb(x)


@pytest.fixture(scope="module")
def small_resnet():
    """torchvision's ResNet-152 with one block in the place of 3, 8, 36 and 3, of the same names."""
    from torchvision.models.resnet import Bottleneck, ResNet

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torchvision.models, "resnet152", lambda weights=None: ResNet(Bottleneck, [1, 1, 1, 1]))
        yield


@pytest.fixture(scope="session")
def theirs():
    """The released networks and how their files are written."""
    return SimpleNamespace(
        words=WORDS, captions_of=captions_of, tables=tables, dump_python2=dump_python2, randomize=randomize,
        RnnEncoder=RnnEncoder, CnnEncoder=CnnEncoder, CaptionCnn=CaptionCnn, CaptionRnn=CaptionRnn, GNet=GNet,
        DNet=DNet, Python2Pickler=Python2Pickler, SemanticG=SemanticG, DeepG=DeepG,
        OneWayD=OneWayD, JointHead=JointHead, MemoryGNet=MemoryGNet, NormalisedDNet=NormalisedDNet,
        FirstPhaseG=FirstPhaseG, SecondPhaseG=SecondPhaseG, PhaseD=PhaseD,
    )  # fmt: skip


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoints") / "tiny")


@pytest.fixture(scope="session")
def model(folder):
    return MirrorGAN.load(folder)


@pytest.fixture(scope="session")
def drawing(model):
    return model.draw(CAPTION, 3)


@pytest.fixture(scope="session", params=[1, 2, 3, 5], ids=lambda stages: f"{stages}-stages")
def staged(request, tmp_path_factory):
    """A checkpoint of so many stages, 8 pixels the first."""
    shape = MIRRORGAN | {"first_size": 8, "channels": (4,) * request.param}
    return write_checkpoint(tmp_path_factory.mktemp("staged") / "tiny", with_image_encoder=False, **shape)


@pytest.fixture(scope="session")
def growing(staged):
    """That checkpoint, loaded, the sizes of its stages, and a drawing of it."""
    model = MirrorGAN.load(staged)
    stages = len(model.generator.config.channels)
    return model, tuple(8 * 2**stage for stage in range(stages)), model.draw(CAPTION, 3)


@pytest.fixture
def copied(folder, tmp_path):
    """A checkpoint that a test may spoil."""
    return shutil.copytree(folder, tmp_path / "tiny")


@pytest.fixture(scope="session")
def silent(tmp_path_factory):
    """A checkpoint of a generator and a text encoder, and nothing else."""
    return write_checkpoint(tmp_path_factory.mktemp("silent") / "silent", False, with_captioner=False)


@pytest.fixture(scope="session")
def dfgan(tmp_path_factory):
    where = tmp_path_factory.mktemp("dfgan") / "dfgan"
    return write_checkpoint(where, False, with_captioner=False, system="dfgan", **ONE_PICTURE, truncation=0.9)
