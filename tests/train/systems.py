"""Every system's losses and opponents on a small configuration, for tests: fields of a GanConfig by name."""

ONE_PICTURE = {
    "channels": (3,), "look_sizes": (16,), "residual_blocks": None, "damsm": 0.0,
    "redescription": 0.0,
}  # fmt: skip

SLOPES = {**ONE_PICTURE, "discriminator": "one_way", "objective": "hinge_ma_gp", "beta1": 0.0, "beta2": 0.9}

SYSTEMS = {
    "attngan": {"generator": "attngan", "redescription": 0.0},
    "attndcgan": {
        "generator": "attngan", "options": ("pictures=last",), "discriminator_options": ("unconditional=no",),
        "look_sizes": (32,), "residual_blocks": 0, "redescription": 0.0,
    },
    "stackgan2": {
        "generator": "stackgan2", "options": ("condition_dim=5",), "objective": "cross_entropy_sum", "damsm": 0.0,
        "redescription": 0.0, "wrong_pairs": "pictures", "discriminator_options": ("sentence_first=yes",),
    },
    "dmgan": {
        "generator": "dmgan", "options": ("condition_dim=5",), "discriminator_options": ("norm=spectral",),
        "redescription": 0.0,
    },
    "ssagan": {
        **SLOPES, "generator": "ssagan", "options": ("mask_channels=3",), "penalty_apart": True, "damsm": 0.5,
        "text_training": "beside", "ema": 0.0,
    },
    "ssagan-joint": {
        **SLOPES, "generator": "ssagan", "options": ("mask_channels=3", "standardize_text=yes"), "penalty_apart": True,
        "text_training": "joint", "text_rate": 1e-3,
    },
    "dfgan": {**SLOPES, "generator": "dfgan", "discriminator_options": ("widest=1",), "redescription": 1.0},
    "stackgan": {
        **ONE_PICTURE, "generator": "stackgan", "options": ("condition_dim=5",), "channels": (4, 4),
        "residual_blocks": 1, "look_sizes": (16, 64), "discriminator": "stackgan", "wrong_pairs": "pictures",
        "fresh_noise": True,
    },
    "stackgan_coco": {
        **ONE_PICTURE, "generator": "stackgan", "options": ("condition_dim=5", "form=coco"), "channels": (4, 4),
        "residual_blocks": 1, "look_sizes": (0, 64), "discriminator_options": ("start=normal",),
    },
    "gawwn": {
        **ONE_PICTURE, "generator": "gawwn", "discriminator": "gawwn", "channels": (4,), "vary_place": True,
    },
    "gawwn_keypoints": {
        **ONE_PICTURE, "generator": "gawwn", "discriminator": "gawwn", "channels": (4,), "vary_place": True,
        "options": ("location=keypoints", "part_names=beak,left eye,right eye"),
    },
    "gan_int_cls": {
        **ONE_PICTURE, "generator": "gan_int_cls", "discriminator": "gan_int_cls", "objective": "gan_int_cls",
        "standardize_text": True, "halve_every": 2, "channels": (4,), "wrong_pairs": "pictures", "fresh_noise": True,
    },
}  # fmt: skip
